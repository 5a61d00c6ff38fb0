// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package demo

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

const (
	plotWidth  = 18 * vg.Centimeter
	plotHeight = 10 * vg.Centimeter

	// leastSeconds is drawn for less: a log scale has no zero.
	leastSeconds = 0.1
)

var (
	machinedColor = color.RGBA{R: 0x1b, G: 0x7f, B: 0x5c, A: 0xff}
	agentColor    = color.RGBA{R: 0x1d, G: 0x4e, B: 0xd8, A: 0xff}
	withoutColor  = color.RGBA{R: 0xc2, G: 0x41, B: 0x0c, A: 0xff}
	floorColor    = color.RGBA{R: 0x64, G: 0x6c, B: 0x78, A: 0xff}
)

// Plot draws the curves of the nodes over the reboots, as SVG.
func (report *Report) Plot() ([]byte, error) {
	p := plot.New()
	p.Title.Text = "Until all DaemonSet pods are Ready again"
	p.X.Label.Text = "reboot"
	p.Y.Label.Text = "seconds (log scale)"
	p.Y.Scale = plot.LogScale{}
	p.Y.Tick.Marker = plot.TickerFunc(secondTicks)
	p.X.Tick.Marker = plot.TickerFunc(rebootTicks)
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.Padding, p.Legend.XOffs, p.Legend.YOffs = vg.Points(2), vg.Points(6), vg.Points(-36)

	for _, style := range []*text.Style{
		&p.Title.TextStyle, &p.X.Label.TextStyle, &p.Y.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label, &p.Legend.TextStyle,
	} {
		style.Font.Variant = "Sans"
	}

	p.Add(plotter.NewGrid())

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
		{"without rebound", func(row row) Reboot { return row.None }, withoutColor, vg.Points(2), draw.CircleGlyph{}, vg.Points(3)},
		{"rebound in machined", func(row row) Reboot { return row.Machined }, machinedColor, vg.Points(3), draw.CircleGlyph{}, vg.Points(3)},
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

	line.Color, line.Dashes = floorColor, []vg.Length{vg.Points(4), vg.Points(4)}
	p.Add(line)
	p.Legend.Add("floor: a plain delete of a healthy pod", line)

	p.Y.Min, p.Y.Max = leastSeconds, math.Pow10(int(math.Ceil(math.Log10(p.Y.Max))))

	canvas := vgsvg.New(plotWidth, plotHeight)
	p.Draw(draw.New(canvas))

	var svg bytes.Buffer

	if _, err := canvas.WriteTo(&svg); err != nil {
		return nil, fmt.Errorf("failed to draw the plot: %w", err)
	}

	return svg.Bytes(), nil
}

func point(reboot int, seconds float64) plotter.XY {
	return plotter.XY{X: float64(reboot), Y: max(seconds, leastSeconds)}
}

// secondTicks marks 0.1, 1, 10, … in plain figures, and the steps between.
func secondTicks(least, most float64) []plot.Tick {
	var ticks []plot.Tick

	for decade := leastSeconds; decade <= most*1.001; decade *= 10 {
		for step := 1; step < 10; step++ {
			tick := plot.Tick{Value: decade * float64(step)}
			if step == 1 || step == 3 {
				tick.Label = strconv.FormatFloat(tick.Value, 'f', -1, 32)
			}

			if tick.Value >= least*0.999 && tick.Value <= most*1.001 {
				ticks = append(ticks, tick)
			}
		}
	}

	return ticks
}

func rebootTicks(least, most float64) []plot.Tick {
	var ticks []plot.Tick

	for reboot := int(least); reboot <= int(most); reboot++ {
		ticks = append(ticks, plot.Tick{Value: float64(reboot), Label: strconv.Itoa(reboot)})
	}

	return ticks
}
