// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package scale

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
	leastSeconds = 0.01
)

var (
	reboundColor = color.RGBA{R: 0x1b, G: 0x7f, B: 0x5c, A: 0xff}
	floorColor   = color.RGBA{R: 0x64, G: 0x6c, B: 0x78, A: 0xff}
	limitColor   = color.RGBA{R: 0xc2, G: 0x41, B: 0x0c, A: 0xff}
)

// Plot draws the curves over the number of nodes, as SVG.
func (report *Report) Plot() ([]byte, error) {
	p := plot.New()
	p.Title.Text = "Until all DaemonSet pods are Ready again, p99"
	p.X.Label.Text = "nodes that come back within ten seconds"
	p.Y.Label.Text = "seconds"
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.TickerFunc(decades), plot.TickerFunc(decades)
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.Padding, p.Legend.XOffs, p.Legend.YOffs = vg.Points(2), vg.Points(6), vg.Points(-6)

	for _, style := range []*text.Style{
		&p.Title.TextStyle, &p.X.Label.TextStyle, &p.Y.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label, &p.Legend.TextStyle,
	} {
		style.Font.Variant = "Sans"
	}

	p.Add(plotter.NewGrid())

	for _, curve := range []struct {
		name   string
		of     func(Result) float64
		color  color.Color
		dashes []vg.Length
	}{
		{"with rebound", func(run Result) float64 { return run.P99Seconds }, reboundColor, nil},
		{"the floor: the same deletes, plain", func(run Result) float64 { return run.FloorP99Seconds }, floorColor, nil},
		{"the goal: twice the floor", func(run Result) float64 { return mostOfFloor * run.FloorP99Seconds }, limitColor, []vg.Length{vg.Points(4), vg.Points(4)}},
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

	p.X.Min, p.X.Max = decade(p.X.Min, math.Floor), decade(p.X.Max, math.Ceil)
	p.Y.Min, p.Y.Max = decade(p.Y.Min, math.Floor), 10*decade(p.Y.Max, math.Ceil)

	if p.X.Min == p.X.Max {
		p.X.Max *= 10
	}

	canvas := vgsvg.New(plotWidth, plotHeight)
	p.Draw(draw.New(canvas))

	var svg bytes.Buffer

	if _, err := canvas.WriteTo(&svg); err != nil {
		return nil, fmt.Errorf("failed to draw the plot: %w", err)
	}

	return svg.Bytes(), nil
}

// decade is the power of ten at or beside a value.
func decade(value float64, round func(float64) float64) float64 {
	return math.Pow10(int(round(math.Log10(value))))
}

// decades marks powers of ten in plain figures, with three times them, and the
// steps between.
func decades(least, most float64) []plot.Tick {
	var ticks []plot.Tick

	for at := decade(least, math.Floor); at <= most*1.001; at *= 10 {
		for step := 1; step < 10; step++ {
			tick := plot.Tick{Value: at * float64(step)}
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
