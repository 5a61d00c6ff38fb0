// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package chart has what the reports' plots have in common: their look, their axes,
// and how they are written.
package chart

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
	width  = 18 * vg.Centimeter
	height = 10 * vg.Centimeter
)

// What is with rebound, what is without it, and the least that is possible.
var (
	Rebound = color.RGBA{R: 0x1b, G: 0x7f, B: 0x5c, A: 0xff}
	Without = color.RGBA{R: 0xc2, G: 0x41, B: 0x0c, A: 0xff}
	Floor   = color.RGBA{R: 0x64, G: 0x6c, B: 0x78, A: 0xff}
)

// Dashes are those of a line that is not a measured curve.
func Dashes() []vg.Length { return []vg.Length{vg.Points(4), vg.Points(4)} }

// New returns an empty plot whose legend begins so far below the top, on the left.
func New(title, x, y string, legend vg.Length) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.Padding, p.Legend.XOffs, p.Legend.YOffs = vg.Points(2), vg.Points(6), -legend

	for _, style := range []*text.Style{
		&p.Title.TextStyle, &p.X.Label.TextStyle, &p.Y.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label, &p.Legend.TextStyle,
	} {
		style.Font.Variant = "Sans"
	}

	p.Add(plotter.NewGrid())

	return p
}

// LogScale makes the axis one of powers of ten.
func LogScale(axis *plot.Axis) {
	axis.Scale, axis.Tick.Marker = plot.LogScale{}, plot.TickerFunc(decades)
}

// Decade is the power of ten at or beside a value.
func Decade(value float64, round func(float64) float64) float64 {
	return math.Pow10(int(round(math.Log10(value))))
}

// decades marks powers of ten in plain figures, with three times them, and the
// steps between.
func decades(least, most float64) []plot.Tick {
	var ticks []plot.Tick

	for at := Decade(least, math.Floor); at <= most*1.001; at *= 10 {
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

// SVG draws the plot.
func SVG(p *plot.Plot) ([]byte, error) {
	canvas := vgsvg.New(width, height)
	p.Draw(draw.New(canvas))

	var svg bytes.Buffer

	if _, err := canvas.WriteTo(&svg); err != nil {
		return nil, fmt.Errorf("failed to draw the plot: %w", err)
	}

	return svg.Bytes(), nil
}
