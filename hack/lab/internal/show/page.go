// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package show

import (
	_ "embed"
	"html/template"
)

//go:embed page.css
var pageStyle string

// PageStyle is what the pages of all demos look like, in light and in dark.
func PageStyle() template.CSS { return template.CSS(pageStyle) } //nolint:gosec // it is ours
