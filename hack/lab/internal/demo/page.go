// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package demo

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"time"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{"ratio": ratio}).Parse(pageText))

// page returns the report as one page that needs nothing else.
func (report *Report) page(curve []byte) ([]byte, error) {
	// A document within a page has no declaration of its own.
	if start := bytes.Index(curve, []byte("<svg")); start > 0 {
		curve = curve[start:]
	}

	var page bytes.Buffer

	err := pageTemplate.Execute(&page, map[string]any{
		"Report": report,
		"Rows":   report.rows(),
		"Curve":  template.HTML(curve), //nolint:gosec // drawn by the program itself
		"Target": seconds(recoveryTarget),
		"Err":    report.check(),
		"Date":   time.Now().Format("2 January 2006"),
	})
	if err != nil {
		return nil, fmt.Errorf("failed to write page: %w", err)
	}

	return page.Bytes(), nil
}
