package lines

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

type head struct{ Zone string }

type part struct {
	Name string
	Of   map[string]int
}

func TestWhatWasWrittenReadsBack(t *testing.T) {
	want := []part{{"一号", map[string]int{"b": 2, "a": 1}}, {"a\nb", nil}}
	for _, parts := range [][]part{nil, want[:1], want} {
		var b bytes.Buffer
		n, err := Write(&b, head{"Asia/Shanghai"}, slices.Values(parts))
		if err != nil || n != int64(b.Len()) || strings.Count(b.String(), "\n") != 1+len(parts) {
			t.Fatalf("%d bytes, %v: %q", n, err, b.String())
		}
		var h head
		var got []part
		m, err := Read(&b, &h, func(p *part) { got = append(got, *p) })
		if err != nil || m != n || h.Zone != "Asia/Shanghai" || len(got) != len(parts) {
			t.Fatalf("%d bytes, %v: %+v %+v", m, err, h, got)
		}
		for i := range got {
			if got[i].Name != parts[i].Name || len(got[i].Of) != len(parts[i].Of) || got[i].Of["b"] != parts[i].Of["b"] {
				t.Errorf("%+v, want %+v", got[i], parts[i])
			}
		}
	}
}

func TestWhatIsNoStateIsAnErrorThatNamesTheLine(t *testing.T) {
	for text, want := range map[string]string{"": "unexpected EOF", "{}\n{\n": "line 2", "x": "line 1", "{}\n\n[1]\n": "line 3"} {
		var h head
		if _, err := Read(strings.NewReader(text), &h, func(*part) {}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	broken := errors.New("broken")
	if _, err := Write(failing{broken}, head{}, slices.Values([]part{{}})); !errors.Is(err, broken) {
		t.Error(err)
	}
	var h head
	if _, err := Read(io.MultiReader(strings.NewReader("{}\n"), failing{broken}), &h, func(*part) {}); !errors.Is(err, broken) {
		t.Error(err)
	}
}

type failing struct{ error }

func (f failing) Write([]byte) (int, error) { return 0, f.error }
func (f failing) Read([]byte) (int, error)  { return 0, f.error }
