// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package show

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/talos-rebound/rebound/hack/lab/component"
)

// OpenFolder makes the folder for the reports, and sees whether they can be
// written there.
func OpenFolder(path string) error {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return fmt.Errorf("failed to create folder for reports: %w", err)
	}

	probe, err := os.CreateTemp(path, ".probe-*")
	if err != nil {
		return fmt.Errorf("failed to write to folder for reports: %w", err)
	}

	probe.Close()           //nolint:errcheck // nothing was written
	os.Remove(probe.Name()) //nolint:errcheck // it is empty

	return nil
}

// WriteReports writes files with these names to the folder.
func WriteReports(folder string, files map[string][]byte) error {
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil { //nolint:gosec // reports are to be read by all
			return fmt.Errorf("failed to write report: %w", err)
		}
	}

	return nil
}

// Report is one that scripts and people read.
type Report interface {
	JSON() ([]byte, error)
	Page() ([]byte, error)
}

// WriteReport writes both forms of a report to the folder, under these names.
func WriteReport(folder string, report Report, jsonFile, htmlFile string) error {
	text, err := report.JSON()
	if err != nil {
		return err
	}

	page, err := report.Page()
	if err != nil {
		return err
	}

	return WriteReports(folder, map[string][]byte{jsonFile: text, htmlFile: page})
}

// JSON returns a report as scripts read it. Its words are for people, too, so that
// nothing in them is escaped that need not be.
func JSON(report any) ([]byte, error) {
	var text bytes.Buffer

	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")

	if err := encoder.Encode(report); err != nil {
		return nil, fmt.Errorf("failed to encode report: %w", err)
	}

	return text.Bytes(), nil
}

// KubernetesVersion is the version of Kubernetes that labs run.
func KubernetesVersion() string {
	path, err := component.Kubernetes()
	if err != nil {
		return "unknown"
	}

	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return "unknown"
	}

	for _, module := range info.Deps {
		if module.Path == "k8s.io/kubernetes" {
			return module.Version
		}
	}

	return "unknown"
}

// Seconds writes a duration as reports do.
func Seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
