// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package demo

import (
	"fmt"
	"os"
	"path/filepath"
)

// The files of a report.
const (
	jsonFile = "report.json"
	htmlFile = "report.html"
	svgFile  = "report.svg"
)

// folder is where the reports go.
type folder string

func openFolder(path string) (folder, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return "", fmt.Errorf("failed to create folder for reports: %w", err)
	}

	probe, err := os.CreateTemp(path, ".probe-*")
	if err != nil {
		return "", fmt.Errorf("failed to write to folder for reports: %w", err)
	}

	probe.Close()           //nolint:errcheck // nothing was written
	os.Remove(probe.Name()) //nolint:errcheck // it is empty

	return folder(path), nil
}

func (f folder) path(name string) string { return filepath.Join(string(f), name) }

// write writes every form of the report.
func (f folder) write(report *Report) error {
	text, err := report.json()
	if err != nil {
		return err
	}

	curve, err := report.plot()
	if err != nil {
		return err
	}

	page, err := report.page(curve)
	if err != nil {
		return err
	}

	for name, content := range map[string][]byte{jsonFile: text, htmlFile: page, svgFile: curve} {
		if err := os.WriteFile(f.path(name), content, 0o644); err != nil { //nolint:gosec // reports are to be read by all
			return fmt.Errorf("failed to write report: %w", err)
		}
	}

	return nil
}
