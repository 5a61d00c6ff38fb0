// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package rebootdemo

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"time"

	"github.com/talos-rebound/rebound/hack/lab/internal/show"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// legend says what the colours are, in the order in which a node comes by them.
var legend = []struct {
	State State
	Text  string
}{
	{StateWaiting, "waiting, in service"},
	{StateDraining, "cordoned, not yet rebooted"},
	{StateDown, "not Ready"},
	{StateBack, "back, still cordoned"},
	{StateDone, "rebooted, in service"},
}

// Page returns the report as one page that needs nothing else.
func (report *Report) Page() ([]byte, error) {
	var page bytes.Buffer

	err := pageTemplate.Execute(&page, map[string]any{
		"Style":             show.PageStyle(),
		"KubernetesVersion": show.KubernetesVersion(),
		"Date":              time.Now().Format("2 January 2006"),
		"Err":               report.Check(),
		"Legend":            legend,
		"Charts":            report.charts(),
	})
	if err != nil {
		return nil, fmt.Errorf("failed to write page: %w", err)
	}

	return page.Bytes(), nil
}

// chart is a run on a time axis. All charts have the same scale.
type chart struct {
	Result

	span time.Duration
}

func (report *Report) charts() []chart {
	var span time.Duration

	runs := report.runs()
	charts := make([]chart, len(runs))

	for _, run := range runs {
		span = max(span, run.Ended.Sub(run.Asked))
	}

	for i, run := range runs {
		charts[i] = chart{Result: run, span: span}
	}

	return charts
}

// tick is a mark of the time axis.
type tick struct {
	Place template.CSS
	Text  string
}

// tickSteps are what may lie between two ticks, of which there are ten at most.
var tickSteps = []time.Duration{
	5 * time.Second, 10 * time.Second, 20 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute,
}

// Ticks are the marks of the time axis.
func (c chart) Ticks() []tick {
	step := tickSteps[len(tickSteps)-1]

	for _, candidate := range tickSteps {
		if c.span <= 10*candidate {
			step = candidate

			break
		}
	}

	var ticks []tick

	for at := time.Duration(0); at <= c.span; at += step {
		ticks = append(ticks, tick{Place: c.percent(at), Text: fmt.Sprintf("%.0f s", at.Seconds())})
	}

	return ticks
}

// Place is where a moment is on the time axis.
func (c chart) Place(moment time.Time) template.CSS { return c.percent(moment.Sub(c.Asked)) }

// Share is how much of the axis a stretch takes.
func (c chart) Share(stretch Stretch) template.CSS { return c.percent(stretch.To.Sub(stretch.From)) }

func (c chart) percent(d time.Duration) template.CSS {
	return template.CSS(fmt.Sprintf("%.2f%%", 100*d.Seconds()/c.span.Seconds())) //nolint:gosec // a number
}

// AfterText is After with its unit.
func (c chart) AfterText(moment time.Time) string {
	if moment.IsZero() {
		return c.After(moment)
	}

	return c.After(moment) + " s"
}
