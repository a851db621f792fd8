package catalog

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pilewatch/devices"
)

func TestEveryDecoderIsBuiltByItsName(t *testing.T) {
	o := devices.Options{Mapping: map[string]string{"pile": "topic[0]", "power_w": "w"}}
	for _, name := range Names() {
		d, err := New(name, o)
		if err != nil || d == nil {
			t.Errorf("%s: %v, %v", name, d, err)
		}
	}
	if !slices.Equal(Names(), []string{"native", "tasmota", "shelly", "mapping"}) {
		t.Errorf("names are part of the configuration: %v", Names())
	}
}

func TestAnUnknownDecoderIsToldTheKnownOnes(t *testing.T) {
	_, err := New("tasmoto", devices.Options{})
	if err == nil {
		t.Fatal("tasmoto is taken")
	}
	for _, part := range append(Names(), `"tasmoto"`) {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not name %s", err, part)
		}
	}
}

func TestAMappingReachesItsDecoder(t *testing.T) {
	if _, err := New("mapping", devices.Options{}); err == nil || !strings.Contains(err.Error(), "pile is missing") {
		t.Errorf("got %v, want the missing keys", err)
	}
}

// A folder with a decoder's files that nobody can choose is a mistake.
func TestEveryDecoderFolderHasARow(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "*", "decode.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no decoders found: %v", err)
	}
	for _, file := range files {
		dir := filepath.Dir(file)
		if name := filepath.Base(dir); !slices.Contains(Names(), name) {
			t.Errorf("%s has no row", name)
		}
		for _, also := range []string{"decode_test.go", "fuzz_test.go", "testdata"} {
			if _, err := os.Stat(filepath.Join(dir, also)); err != nil {
				t.Errorf("a decoder has the same files: %v", err)
			}
		}
	}
}
