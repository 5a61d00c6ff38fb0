// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package demo

import (
	"fmt"
	"image/color"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/talos-rebound/rebound/hack/lab/internal/chart"
)

// leastSeconds is drawn for less: a log scale has no zero.
const leastSeconds = 0.1

var agentColor = color.RGBA{R: 0x1d, G: 0x4e, B: 0xd8, A: 0xff}

// Plot draws the curves of the nodes over the reboots, as SVG.
func (report *Report) Plot() ([]byte, error) {
	p := chart.New("Until all DaemonSet pods are Ready again", "reboot", "seconds (log scale)", vg.Points(36))
	p.X.Tick.Marker = plot.TickerFunc(rebootTicks)
	chart.LogScale(&p.Y)

	rows := report.rows()
	floor := plotter.XYs{point(1, report.FloorSeconds), point(len(rows), report.FloorSeconds)}

	// Rings and a thinner line leave to be seen what is below them: the two with
	// rebound are often equal.
	for _, curve := range []struct {
		name   string
		of     func(row) Reboot
		color  color.Color
		width  vg.Length
		glyph  draw.GlyphDrawer
		radius vg.Length
	}{
		{"without rebound", func(row row) Reboot { return row.None }, chart.Without, vg.Points(2), draw.CircleGlyph{}, vg.Points(3)},
		{"rebound in machined", func(row row) Reboot { return row.Machined }, chart.Rebound, vg.Points(3), draw.CircleGlyph{}, vg.Points(3)},
		{"rebound as agent, stock node", func(row row) Reboot { return row.Agent }, agentColor, vg.Points(1), draw.RingGlyph{}, vg.Points(5)},
	} {
		points := make(plotter.XYs, len(rows))
		for i, row := range rows {
			points[i] = point(row.Reboot, curve.of(row).RecoverySeconds)
		}

		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return nil, fmt.Errorf("failed to plot %q: %w", curve.name, err)
		}

		line.Color, line.Width = curve.color, curve.width
		dots.Color, dots.Shape, dots.Radius = curve.color, curve.glyph, curve.radius
		p.Add(line, dots)
		p.Legend.Add(curve.name, line, dots)
	}

	line, err := plotter.NewLine(floor)
	if err != nil {
		return nil, fmt.Errorf("failed to plot the floor: %w", err)
	}

	line.Color, line.Dashes = chart.Floor, chart.Dashes()
	p.Add(line)
	p.Legend.Add("floor: a plain delete of a healthy pod", line)

	p.Y.Min, p.Y.Max = leastSeconds, chart.Decade(p.Y.Max, math.Ceil)

	return chart.SVG(p)
}

func point(reboot int, seconds float64) plotter.XY {
	return plotter.XY{X: float64(reboot), Y: max(seconds, leastSeconds)}
}

func rebootTicks(least, most float64) []plot.Tick {
	var ticks []plot.Tick

	for reboot := int(least); reboot <= int(most); reboot++ {
		ticks = append(ticks, plot.Tick{Value: float64(reboot), Label: strconv.Itoa(reboot)})
	}

	return ticks
}
