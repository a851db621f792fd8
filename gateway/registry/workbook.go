package registry

import (
	"bytes"
	"errors"
	"io"

	"github.com/xuri/excelize/v2"
)

// maxUnzipped is the most that a workbook may hold, in bytes.
const maxUnzipped = 256 << 20

func isWorkbook(data []byte) bool { return bytes.HasPrefix(data, []byte("PK\x03\x04")) }

// workbookLines are the rows of a workbook's first sheet that is not hidden. Cells
// are as they are stored: a card number keeps the digits that its format hides.
type workbookLines struct {
	rows [][]string
	at   int
}

var errWorkbook = errors.New("a workbook that cannot be read: save it again as .xlsx, or as CSV (另存为 .xlsx 或 CSV)")

func openWorkbook(data []byte) (lines, error) {
	f, err := excelize.OpenReader(bytes.NewReader(data), excelize.Options{RawCellValue: true, UnzipSizeLimit: maxUnzipped, UnzipXMLSizeLimit: maxUnzipped})
	if err != nil {
		return nil, errWorkbook
	}
	defer f.Close()
	for _, name := range f.GetSheetList() {
		if visible, err := f.GetSheetVisible(name); err != nil || !visible {
			continue
		}
		rows, err := f.GetRows(name)
		if err != nil {
			return nil, errWorkbook
		}
		return &workbookLines{rows: rows}, nil
	}
	return nil, errWorkbook
}

func (w *workbookLines) next() (int, []string, error) {
	if w.at == len(w.rows) {
		return 0, nil, io.EOF
	}
	w.at++
	return w.at, w.rows[w.at-1], nil
}
