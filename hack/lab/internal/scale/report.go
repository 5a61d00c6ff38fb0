// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package scale

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"math"
	"runtime"
	"text/tabwriter"
	"time"

	"github.com/talos-rebound/rebound/hack/lab/internal/show"
	"github.com/talos-rebound/rebound/hack/lab/lab"
)

// The files of a report.
const (
	jsonFile = "scale.json"
	htmlFile = "scale.html"
)

// The goals.
const (
	// mostOfFloor is how many times the floor the slowest nodes may take.
	mostOfFloor = 2
	// mostGrowth is the exponent with which the requests of a node may grow with the
	// number of nodes: within a quarter from ten nodes to a thousand.
	mostGrowth = 0.05
	// mostOfAttempt is how long one attempt of rebound health may take.
	mostOfAttempt = 10 * time.Second
)

// Report is what scale.json has.
type Report struct {
	KubernetesVersion string `json:"kubernetesVersion"`
	// Processors are those of the machine, which everything shares.
	Processors int `json:"processors"`
	// Runs are those with rebound, and the floor of each.
	Runs []Result `json:"runs"`
	// Growth has how the figures grow with the number of nodes.
	Growth Growth `json:"growth"`
	// Peers are what people use without rebound, with the nodes of the last run.
	Peers []Peer `json:"peers"`
}

// Result is what was measured with one number of nodes.
type Result struct {
	Nodes int `json:"nodes"`
	// Rounds is how often all nodes were rebooted with rebound, and for the floor.
	Rounds int `json:"rounds"`
	// The times from a healthy kubelet until all DaemonSet pods are Ready.
	FloorP50Seconds float64 `json:"floorP50Seconds"`
	FloorP99Seconds float64 `json:"floorP99Seconds"`
	FloorMaxSeconds float64 `json:"floorMaxSeconds"`
	P50Seconds      float64 `json:"p50Seconds"`
	P99Seconds      float64 `json:"p99Seconds"`
	MaxSeconds      float64 `json:"maxSeconds"`
	// Whole and FloorWhole are how many nodes were whole in the end, of all rounds.
	Whole      int `json:"whole"`
	FloorWhole int `json:"floorWhole"`
	// RequestsPerNode are those of rebound for one reboot, BytesPerNode what they and
	// the answers carry.
	RequestsPerNode float64 `json:"requestsPerNode"`
	BytesPerNode    float64 `json:"bytesPerNode"`
	// Throttled are the requests of everybody that were told to come again later, in
	// the audit log, FloorThrottled those of the floor. Rejected and FloorRejected are
	// those that priority and fairness has turned away.
	Throttled      int `json:"throttled"`
	FloorThrottled int `json:"floorThrottled"`
	Rejected       int `json:"rejected"`
	FloorRejected  int `json:"floorRejected"`
	// WrongDeletes are those of rebound of pods that were never Failed.
	WrongDeletes int `json:"wrongDeletes"`
	// HealthSeconds is how long one attempt of rebound health takes.
	HealthSeconds float64 `json:"healthSeconds"`
	// WatchBytes is what the watch of one node takes of the API server's memory.
	WatchBytes float64 `json:"watchBytes"`
	// Server and FloorServer are what a wave costs the API server.
	Server      Server `json:"server"`
	FloorServer Server `json:"floorServer"`
	// Traffic and FloorTraffic are what was asked of it in the last round.
	Traffic      []Traffic `json:"traffic"`
	FloorTraffic []Traffic `json:"floorTraffic"`
}

// Server is what one wave costs the API server.
type Server struct {
	CPUSeconds float64 `json:"cpuSeconds"`
	// ResponseBytes are those of its answers, WatchBytes those of its watches.
	ResponseBytes float64 `json:"responseBytes"`
	WatchBytes    float64 `json:"watchBytes"`
	// Seconds are from the first healthy kubelet to the last whole node, and
	// NodesCPUSeconds what the process with kubelets and rebound has used.
	Seconds         float64 `json:"seconds"`
	NodesCPUSeconds float64 `json:"nodesCPUSeconds"`
}

// Growth has the exponents b of curves that grow as the number of nodes to the
// power of b; nil with one run.
type Growth struct {
	P99             *float64 `json:"p99,omitempty"`
	FloorP99        *float64 `json:"floorP99,omitempty"`
	RequestsPerNode *float64 `json:"requestsPerNode,omitempty"`
}

// Peer is what was seen of one wave without rebound.
type Peer struct {
	Name  string `json:"name"`
	Nodes int    `json:"nodes"`
	// Whole is how many nodes were whole within the limit. The times are those of
	// these nodes alone; one that says "not within" is nil.
	Whole        int      `json:"whole"`
	LimitSeconds float64  `json:"limitSeconds"`
	P50Seconds   *float64 `json:"p50Seconds"`
	P99Seconds   *float64 `json:"p99Seconds"`
	MaxSeconds   *float64 `json:"maxSeconds"`
	Requests     int      `json:"requests"`
	Throttled    int      `json:"throttled"`
	Server       Server   `json:"server"`
}

func newReport() *Report {
	return &Report{KubernetesVersion: show.KubernetesVersion(), Processors: runtime.NumCPU(), Runs: []Result{}, Peers: []Peer{}}
}

// newResult puts the rounds of a run together.
func newResult(floors, waves []wave) Result {
	floorTook, took := all(floors), all(waves)

	run := Result{
		Nodes: waves[0].nodes, Rounds: len(waves),
		FloorP50Seconds: percentile(floorTook, 0.5).Seconds(),
		FloorP99Seconds: percentile(floorTook, 0.99).Seconds(),
		FloorMaxSeconds: percentile(floorTook, 1).Seconds(),
		P50Seconds:      percentile(took, 0.5).Seconds(),
		P99Seconds:      percentile(took, 0.99).Seconds(),
		MaxSeconds:      percentile(took, 1).Seconds(),
		Whole:           len(took), FloorWhole: len(floorTook),
		Server: cost(waves), FloorServer: cost(floors),
		Traffic: waves[len(waves)-1].traffic, FloorTraffic: floors[len(floors)-1].traffic,
	}

	reboots := float64(run.Nodes * run.Rounds)

	for _, w := range waves {
		run.RequestsPerNode += float64(requestsOf(w.traffic, lab.ReboundUserAgent)) / reboots

		for _, row := range w.traffic {
			if row.Client == lab.ReboundUserAgent {
				run.BytesPerNode += float64(row.Bytes) / reboots
			}
		}

		run.Throttled += throttled(w.traffic)
		run.Rejected += int(w.server.rejections)
		run.WrongDeletes += w.wrong
	}

	for _, w := range floors {
		run.FloorThrottled += throttled(w.traffic)
		run.FloorRejected += int(w.server.rejections)
	}

	return run
}

func all(waves []wave) []time.Duration {
	var took []time.Duration
	for _, w := range waves {
		took = append(took, w.took...)
	}

	return took
}

// cost is the mean of the waves.
func cost(waves []wave) Server {
	var s Server

	n := float64(len(waves))

	for _, w := range waves {
		s.CPUSeconds += w.server.cpuSeconds / n
		s.ResponseBytes += w.server.sent / n
		s.WatchBytes += w.server.watchSent / n
		s.Seconds += w.lasted.Seconds() / n
		s.NodesCPUSeconds += w.own.Seconds() / n
	}

	return s
}

func newPeer(w wave) Peer {
	peer := Peer{
		Name: w.help, Nodes: w.nodes, Whole: len(w.took), LimitSeconds: peerLimit.Seconds(),
		Requests: w.requests(), Throttled: throttled(w.traffic), Server: cost([]wave{w}),
	}

	// A percentile is known once that share of all nodes is whole.
	for share, to := range map[float64]**float64{0.5: &peer.P50Seconds, 0.99: &peer.P99Seconds, 1: &peer.MaxSeconds} {
		took := append([]time.Duration{}, w.took...)
		for range w.nodes - len(w.took) {
			took = append(took, math.MaxInt64)
		}

		if at := percentile(took, share); at < math.MaxInt64 {
			*to = new(at.Seconds())
		}
	}

	return peer
}

// grow fits the curves.
func (report *Report) grow() {
	fit := func(y func(Result) float64) *float64 {
		points := make([]point, 0, len(report.Runs))
		for _, run := range report.Runs {
			points = append(points, point{float64(run.Nodes), y(run)})
		}

		if b, ok := exponent(points); ok {
			return &b
		}

		return nil
	}

	report.Growth = Growth{
		P99:             fit(func(run Result) float64 { return run.P99Seconds }),
		FloorP99:        fit(func(run Result) float64 { return run.FloorP99Seconds }),
		RequestsPerNode: fit(func(run Result) float64 { return run.RequestsPerNode }),
	}
}

// Check says which goals were missed.
func (report *Report) Check() error {
	var errs []error

	for _, run := range report.Runs {
		errs = append(errs, run.check()...)
	}

	report.grow()

	if b := report.Growth.RequestsPerNode; b != nil && *b > mostGrowth {
		errs = append(errs, fmt.Errorf("the requests of a node grow with the number of nodes, to the power of %.2f", *b))
	}

	return errors.Join(errs...)
}

func (run *Result) check() []error {
	var errs []error

	missed := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%d nodes: "+format, append([]any{run.Nodes}, args...)...))
	}

	if reboots := run.Nodes * run.Rounds; run.Whole < reboots || run.FloorWhole < reboots {
		missed("of %d reboots %d ended with a whole node, and %d without rebound", reboots, run.Whole, run.FloorWhole)
	}

	if most := mostOfFloor * run.FloorP99Seconds; run.P99Seconds > most {
		missed("p99 is %.2f s, and may be %.2f s, which is %d times the floor", run.P99Seconds, most, mostOfFloor)
	}

	if run.Throttled > 0 || run.Rejected > 0 {
		missed("%d requests were told to come again later, %d turned away; of the floor %d, and %d",
			run.Throttled, run.Rejected, run.FloorThrottled, run.FloorRejected)
	}

	if run.WrongDeletes > 0 {
		missed("rebound has deleted %d pods that were never Failed", run.WrongDeletes)
	}

	if run.HealthSeconds > mostOfAttempt.Seconds() {
		missed("an attempt of rebound health takes %.1f s", run.HealthSeconds)
	}

	return errs
}

// JSON returns the content of scale.json.
func (report *Report) JSON() ([]byte, error) {
	report.grow()

	return show.JSON(report)
}

// write writes every form of the report to the folder.
func (report *Report) write(folder string) error {
	return show.WriteReport(folder, report, jsonFile, htmlFile)
}

// WriteTable writes the report for a terminal.
func (report *Report) WriteTable(w io.Writer) error {
	report.grow()

	fmt.Fprintf(w, "\nseconds from a healthy kubelet until all DaemonSet pods are Ready (Kubernetes %s, %d processors)\n\n",
		report.KubernetesVersion, report.Processors)

	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "nodes\tfloor p50\tfloor p99\tp50\tp99\tmax\tp99 to floor\trequests\tKiB\t429\tof floor\tserver CPU\tof floor\thealth\tKiB per watch\t\n")

	for _, run := range report.Runs {
		fmt.Fprintf(table, "%d\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f x\t%.1f\t%.1f\t%d\t%d\t%.1f s\t%.1f s\t%.2f s\t%.0f\t\n",
			run.Nodes, run.FloorP50Seconds, run.FloorP99Seconds, run.P50Seconds, run.P99Seconds, run.MaxSeconds,
			run.P99Seconds/run.FloorP99Seconds, run.RequestsPerNode, run.BytesPerNode/1024, run.Throttled, run.FloorThrottled,
			run.Server.CPUSeconds, run.FloorServer.CPUSeconds, run.HealthSeconds, run.WatchBytes/1024)
	}

	if err := table.Flush(); err != nil {
		return fmt.Errorf("failed to write table: %w", err)
	}

	for _, row := range report.growth() {
		fmt.Fprintln(w, row)
	}

	if len(report.Peers) == 0 {
		return nil
	}

	fmt.Fprintln(w)
	fmt.Fprint(table, "without rebound\tnodes\twhole\tp50\tp99\tmax\trequests\t429\tserver CPU\t\n")

	for _, peer := range report.Peers {
		fmt.Fprintf(table, "%s\t%d\t%d\t%s\t%s\t%s\t%d\t%d\t%.1f s\t\n", peer.Name, peer.Nodes, peer.Whole,
			peer.within(peer.P50Seconds), peer.within(peer.P99Seconds), peer.within(peer.MaxSeconds), peer.Requests, peer.Throttled, peer.Server.CPUSeconds)
	}

	if err := table.Flush(); err != nil {
		return fmt.Errorf("failed to write table: %w", err)
	}

	return nil
}

// growth says how the figures grow.
func (report *Report) growth() []string {
	var rows []string

	for _, row := range []struct {
		name string
		b    *float64
	}{
		{"p99", report.Growth.P99}, {"the floor's p99", report.Growth.FloorP99}, {"requests of a node", report.Growth.RequestsPerNode},
	} {
		if row.b != nil {
			rows = append(rows, fmt.Sprintf("%s: grows as the number of nodes to the power of %.2f", row.name, math.Round(100**row.b)/100+0))
		}
	}

	return rows
}

// within is a time, or that it was not within the limit.
func (peer *Peer) within(seconds *float64) string {
	if seconds == nil {
		return fmt.Sprintf("not within %.0f", peer.LimitSeconds)
	}

	return fmt.Sprintf("%.1f", *seconds)
}

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"within": func(peer Peer, seconds *float64) string { return peer.within(seconds) },
	"kib":    func(bytes float64) string { return fmt.Sprintf("%.0f", bytes/1024) },
	"kibs":   func(bytes int64) string { return fmt.Sprintf("%.0f", float64(bytes)/1024) },
	"ratio": func(run Result) string {
		if run.FloorP99Seconds == 0 {
			return ""
		}

		return fmt.Sprintf("%.2f", run.P99Seconds/run.FloorP99Seconds)
	},
}).Parse(pageText))

// Page returns the report as one page that needs nothing else.
func (report *Report) Page() ([]byte, error) {
	curve, err := report.Plot()
	if err != nil {
		return nil, err
	}

	// A document within a page has no declaration of its own.
	if start := bytes.Index(curve, []byte("<svg")); start > 0 {
		curve = curve[start:]
	}

	var page bytes.Buffer

	err = pageTemplate.Execute(&page, map[string]any{
		"Style":  show.PageStyle(),
		"Report": report,
		"Date":   time.Now().Format("2 January 2006"),
		"Err":    report.Check(),
		"Growth": report.growth(),
		"Last":   report.Runs[len(report.Runs)-1],
		"Curve":  template.HTML(curve), //nolint:gosec // drawn by the program itself
	})
	if err != nil {
		return nil, fmt.Errorf("failed to write page: %w", err)
	}

	return page.Bytes(), nil
}
