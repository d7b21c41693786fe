package httpapi

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// table is the list of fields as docs/api.md has it.
func table(path string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "### Fields of %s\n\n| field | | note |\n|---|---|---|\n", path)
	for _, f := range Routes()[path] {
		note := f.Note
		if f.Ours {
			note = strings.TrimSuffix("ours; "+note, "; ")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.Name, f.Status, note)
	}
	return b.String()
}

// TestDocs: docs/api.md has the same list of fields as the code. To renew it,
// copy what the test prints.
func TestDocs(t *testing.T) {
	doc, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	for path := range Routes() {
		if want := table(path); !strings.Contains(string(doc), want) {
			t.Errorf("docs/api.md does not have this table:\n%s", want)
		}
	}
}
