// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults

import (
	"regexp"
	"strings"
)

// stagePrefix begins the name of every namespace and node of a row.
const stagePrefix = "row-"

// generated are the parts of messages that are different in each run, and what
// stands for them in the report.
var generated = []struct {
	pattern *regexp.Regexp
	plain   string
}{
	{regexp.MustCompile(`\b` + stagePrefix + `[0-9]+/`), ""},
	{regexp.MustCompile(`\b` + stagePrefix + `[0-9]+(-[a-z0-9]+)?\b`), "NODE$1"},
	{regexp.MustCompile(`\bhttps://127\.[0-9.]+:[0-9]+[^\s":]*`), "SERVER"},
	{regexp.MustCompile(`\b127\.[0-9.]+:[0-9]+\b`), "SERVER"},
	{regexp.MustCompile(`(/[^\s":]*)?/rebound-lab-[0-9]+(/[^\s":]*)?/`), "…/"},
	{regexp.MustCompile(`\b[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z`), "TIME"},
	{regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`), "ID"},
}

// Plain returns the text with what is made up for this run replaced, so that it
// reads the same in every run: the namespace is left out, and a node is NODE, the
// URL of the API server SERVER, and a pod of DaemonSet proxy is proxy-POD.
func (s *Stage) Plain(text string) string {
	for _, name := range s.daemonSets {
		text = regexp.MustCompile(`\b`+regexp.QuoteMeta(name)+`-[a-z0-9]{5}\b`).ReplaceAllString(text, name+"-POD")
	}

	return plain(text)
}

func plain(text string) string {
	for _, part := range generated {
		text = part.pattern.ReplaceAllString(text, part.plain)
	}

	return strings.Join(strings.Fields(text), " ")
}
