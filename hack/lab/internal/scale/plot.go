// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package scale

import (
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/talos-rebound/rebound/hack/lab/internal/chart"
)

// leastSeconds is drawn for less: a log scale has no zero.
const leastSeconds = 0.01

// Plot draws the curves over the number of nodes, as SVG.
func (report *Report) Plot() ([]byte, error) {
	p := chart.New("Until all DaemonSet pods are Ready again, p99", "nodes that come back within ten seconds", "seconds", vg.Points(6))
	chart.LogScale(&p.X)
	chart.LogScale(&p.Y)

	for _, curve := range []struct {
		name   string
		of     func(Result) float64
		color  color.Color
		dashes []vg.Length
	}{
		{"with rebound", func(run Result) float64 { return run.P99Seconds }, chart.Rebound, nil},
		{"the floor: the same deletes, plain", func(run Result) float64 { return run.FloorP99Seconds }, chart.Floor, nil},
		{"the goal: twice the floor", func(run Result) float64 { return mostOfFloor * run.FloorP99Seconds }, chart.Without, chart.Dashes()},
	} {
		points := make(plotter.XYs, len(report.Runs))
		for i, run := range report.Runs {
			points[i] = plotter.XY{X: float64(run.Nodes), Y: max(curve.of(run), leastSeconds)}
		}

		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return nil, fmt.Errorf("failed to plot %q: %w", curve.name, err)
		}

		line.Color, line.Width, line.Dashes = curve.color, vg.Points(2), curve.dashes
		dots.Color, dots.Shape, dots.Radius = curve.color, draw.CircleGlyph{}, vg.Points(3)
		p.Add(line, dots)
		p.Legend.Add(curve.name, line, dots)
	}

	p.X.Min, p.X.Max = chart.Decade(p.X.Min, math.Floor), chart.Decade(p.X.Max, math.Ceil)
	p.Y.Min, p.Y.Max = chart.Decade(p.Y.Min, math.Floor), 10*chart.Decade(p.Y.Max, math.Ceil)

	if p.X.Min == p.X.Max {
		p.X.Max *= 10
	}

	return chart.SVG(p)
}
