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
		"KubernetesVersion": show.KubernetesVersion(),
		"Date":              time.Now().Format("2 January 2006"),
		"Err":               report.Check(),
		"Legend":            legend,
		"Runs":              report.runs(),
	})
	if err != nil {
		return nil, fmt.Errorf("failed to write page: %w", err)
	}

	return page.Bytes(), nil
}

// Tick is a mark of the time axis.
type Tick struct {
	Place template.CSS
	Text  string
}

// tickSteps are what may lie between two ticks, of which there are ten at most.
var tickSteps = []time.Duration{
	5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, time.Hour,
}

// Ticks are the marks of the run's time axis.
func (run Run) Ticks() []Tick {
	step := tickSteps[len(tickSteps)-1]

	for _, candidate := range tickSteps {
		if run.Ended.Sub(run.Asked) <= 10*candidate {
			step = candidate

			break
		}
	}

	var ticks []Tick

	for at := run.Asked; !at.After(run.Ended); at = at.Add(step) {
		ticks = append(ticks, Tick{Place: run.Place(at), Text: fmt.Sprintf("%.0f s", at.Sub(run.Asked).Seconds())})
	}

	return ticks
}

// Place is where a moment is on the run's time axis.
func (run Run) Place(moment time.Time) template.CSS { return run.percent(moment.Sub(run.Asked)) }

// Share is how much of the axis a stretch takes.
func (run Run) Share(stretch Stretch) template.CSS { return run.percent(stretch.To.Sub(stretch.From)) }

func (run Run) percent(d time.Duration) template.CSS {
	return template.CSS(fmt.Sprintf("%.2f%%", 100*d.Seconds()/run.Ended.Sub(run.Asked).Seconds())) //nolint:gosec // a number
}

// AfterText is After with its unit.
func (run Run) AfterText(moment time.Time) string {
	if moment.IsZero() {
		return run.After(moment)
	}

	return run.After(moment) + " s"
}
