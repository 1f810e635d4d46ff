package tui

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	tea "github.com/charmbracelet/bubbletea"
)

// export writes the rows that the filter leaves, one JSON object a line.
func (m *model) export() tea.Cmd {
	_, n, _ := m.rows(m.focus)
	var b bytes.Buffer
	lines := json.NewEncoder(&b)
	for _, i := range m.listings[m.focus].order {
		if err := lines.Encode(m.record(m.focus, i)); err != nil {
			m.tell("export: " + err.Error())
			return nil
		}
	}
	return m.writeFile("jsonl", b.Bytes(), fmt.Sprintf("%d rows", n))
}

// record is what stands behind a row.
func (m *model) record(p pane, i int) any {
	switch p {
	case paneProviders:
		return &m.shown.Providers[i]
	case paneRequests:
		return &m.shown.Requests[i]
	case paneEvents:
		return &m.folds[i].Event
	}
	return m.line(i)
}

// writeFile writes a new file that only its owner can read and tells its path.
func (m *model) writeFile(ending string, content []byte, what string) tea.Cmd {
	path := filepath.Join(m.folder, "anyproxy-"+m.now().Format("20060102-150405.000")+"."+ending)
	return run(func() string {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err.Error()
		}
		_, err = f.Write(content)
		if closed := f.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return err.Error()
		}
		return what + ": written to " + path
	})
}
