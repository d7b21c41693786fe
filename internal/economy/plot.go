package economy

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// Sizes in pixels: of a panel, and of the space around it.
const (
	panelW, panelH = 340, 180
	marginL        = 62
	marginT        = 40
	marginB        = 34
	columns        = 3
)

// line is one curve of a panel.
type line struct {
	name  string
	value func(Sample) float64
}

// panel is one plot of a sheet.
type panel struct {
	title string
	log   bool
	lines []line
}

func panels() []panel {
	return []panel{
		{"million NEURO", false, []line{
			{"supply", func(s Sample) float64 { return s.Supply / 1e6 }},
			{"treasury", func(s Sample) float64 { return s.Treasury / 1e6 }},
			{"bonds", func(s Sample) float64 { return s.Bonds / 1e6 }}}},
		{"NEURO per hour", true, []line{
			{"revenue", func(s Sample) float64 { return s.Revenue }},
			{"emission", func(s Sample) float64 { return s.Emission }},
			{"burned", func(s Sample) float64 { return s.Burned }}}},
		{"income of a million rows, outside currency", true, []line{
			{"income", func(s Sample) float64 { return s.Income }},
			{"electricity", func(s Sample) float64 { return power(s.Years*year) / unitsPerRow }}}},
		{"outside currency per NEURO", true, []line{{"price", func(s Sample) float64 { return s.Price }}}},
		{"million tokens per hour", true, []line{
			{"asked", func(s Sample) float64 { return s.Asked }},
			{"served", func(s Sample) float64 { return s.Served }}}},
		{"machines; share over the bond's cap", false, []line{
			{"machines, thousands", func(s Sample) float64 { return s.Nodes / 1000 }},
			{"capped, tenths", func(s Sample) float64 { return 10 * s.Capped }}}},
	}
}

// SVG plots the samples.
func (r Result) SVG(w io.Writer) error {
	all := panels()
	rows := (len(all) + columns - 1) / columns
	width, height := columns*(panelW+marginL)+20, rows*(panelH+marginT+marginB)+30
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n", width, height, width, height)
	fmt.Fprintf(b, `<rect width="100%%" height="100%%" fill="white"/><text x="12" y="20" font-size="14">%s: %s</text>`+"\n", r.Scenario.Name, r.Scenario.About)
	for i, p := range all {
		x, y := i%columns*(panelW+marginL)+marginL, i/columns*(panelH+marginT+marginB)+30+marginT
		fmt.Fprintf(b, `<g transform="translate(%d,%d)">`+"\n", x, y)
		p.draw(b, r.Samples)
		fmt.Fprintln(b, "</g>")
	}
	fmt.Fprintln(b, "</svg>")
	return b.Flush()
}

// scale maps values to pixels from the bottom.
type scale struct {
	low, high float64
	log       bool
}

func (s scale) at(v float64) float64 {
	if s.log {
		v = math.Log10(math.Max(v, s.low))
		return (v - math.Log10(s.low)) / (math.Log10(s.high) - math.Log10(s.low)) * panelH
	}
	return (v - s.low) / (s.high - s.low) * panelH
}

// fit finds a scale for all values: from zero to a round number, or whole
// powers of ten, seven at most.
func (p panel) fit(samples []Sample) scale {
	high, low := 0.0, math.Inf(1)
	for _, s := range samples {
		for _, l := range p.lines {
			v := l.value(s)
			if high = math.Max(high, v); v > 0 {
				low = math.Min(low, v)
			}
		}
	}
	if high == 0 {
		high, low = 1, 0.1
	}
	if p.log {
		top := math.Pow(10, math.Ceil(math.Log10(high)))
		bottom := math.Pow(10, math.Floor(math.Log10(low)))
		return scale{math.Max(math.Min(bottom, top/10), top*1e-7), top, true}
	}
	step := math.Pow(10, math.Floor(math.Log10(high)))
	return scale{0, math.Ceil(high/step*2) / 2 * step, false}
}

// ticks are the values with a mark.
func (s scale) ticks() []float64 {
	var all []float64
	if s.log {
		for v := s.low; v <= s.high*1.001; v *= 10 {
			all = append(all, v)
		}
		return all
	}
	for i := range 5 {
		all = append(all, s.high*float64(i)/4)
	}
	return all
}

func (p panel) draw(b *bufio.Writer, samples []Sample) {
	colours := []string{"#1b6ca8", "#c0392b", "#2e8b57"}
	s := p.fit(samples)
	years := math.Ceil(samples[len(samples)-1].Years)
	fmt.Fprintf(b, `<text x="0" y="-22" font-weight="bold">%s</text>`, p.title)
	for _, v := range s.ticks() {
		y := panelH - s.at(v)
		fmt.Fprintf(b, `<line x1="0" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/><text x="-5" y="%.1f" text-anchor="end">%s</text>`+"\n", panelW, y, y, y+4, label(v))
	}
	for n := range int(years) + 1 {
		x := float64(n) / years * panelW
		fmt.Fprintf(b, `<line x1="%.1f" x2="%.1f" y1="0" y2="%d" stroke="#eee"/><text x="%.1f" y="%d" text-anchor="middle">%d</text>`+"\n", x, x, panelH, x, panelH+14, n)
	}
	at := 0
	for i, l := range p.lines {
		points := make([]string, len(samples))
		for k, x := range samples {
			points[k] = fmt.Sprintf("%.1f,%.1f", x.Years/years*panelW, panelH-s.at(l.value(x)))
		}
		fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="1.4" points="%s"/>`, colours[i], strings.Join(points, " "))
		fmt.Fprintf(b, `<text x="%d" y="-7" fill="%s">%s</text>`+"\n", at, colours[i], l.name)
		at += 20 + 6*len(l.name)
	}
}

// label is a short number.
func label(v float64) string { return strconv.FormatFloat(v, 'g', 3, 64) }
