// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/talos-rebound/rebound/hack/lab/component"
	"github.com/talos-rebound/rebound/hack/lab/internal/faults"
	"github.com/talos-rebound/rebound/hack/lab/internal/labtest"
	"github.com/talos-rebound/rebound/hack/lab/lab"
)

func TestMain(m *testing.M) {
	component.RunIfAsked()
	labtest.RequireKubernetes(filepath.Join("..", "..", "..", ".."))
	goleak.VerifyTestMain(m)
}

// root is the folder of the root module.
var root = filepath.Join("..", "..", "..", "..")

// programs builds what rows need.
func programs(t *testing.T) faults.Programs {
	t.Helper()

	coordinator := filepath.Join(t.TempDir(), "rebound-coordinator")
	require.NoError(t, labtest.BuildCoordinator(t.Context(), root, coordinator))

	return faults.Programs{
		Rebound:     labtest.Rebound(t, root),
		Coordinator: coordinator,
		Manifests:   filepath.Join(root, "cmd", "rebound-coordinator", "deploy", "base"),
	}
}

// TestFaults plays the smaller set, and beside it rows that must fail: those in
// which what runs is not rebound as it should be.
func TestFaults(t *testing.T) {
	options := faults.Options{Quick: true}
	quick, err := options.Choose(faults.Rows())
	require.NoError(t, err)

	runner := &faults.Runner{Programs: programs(t), Ended: func(result faults.Result) {
		t.Logf("%.0f s: %s", result.Seconds, result.Name)
	}}

	results := runner.Run(t.Context(), append(quick, misbehaving()...))

	for i, result := range results {
		t.Run(result.Name, func(t *testing.T) {
			if i < len(quick) {
				assert.True(t, result.Passed, "%d requests of %d", result.Requests, result.Bound)
				assert.Equal(t, result.Expected, result.Seen)

				return
			}

			assert.False(t, result.Passed)
			assert.Contains(t, result.Seen, result.Fault, "what has to be said about it")
		})
	}
}

// misbehaving are rows that must fail, and their faults are what has to be seen.
func misbehaving() []faults.Row {
	rows := []faults.Row{
		{
			Name: "a pod that runs is deleted", Fault: "the pod is Running", End: "deleted", Requests: 5,
			Play: func(s *faults.Stage) (string, error) { return "deleted", impostor(s, 1) },
		},
		{
			Name: "more requests than allowed", Fault: "6 requests, of which 5 were allowed", End: "done", Requests: 5,
			Play: func(s *faults.Stage) (string, error) { return "done", impostor(s, 0) },
		},
		{
			Name: "an end that was not expected", Fault: "degraded", End: "recovered", Requests: 5,
			Play: func(*faults.Stage) (string, error) { return "degraded", nil },
		},
		{
			Name: "a fault that nobody saw", Fault: "recovered", Phase: "waiting", Message: "connection refused", End: "recovered", Requests: 5,
			Play: func(*faults.Stage) (string, error) { return "recovered", nil },
		},
		{
			Name: "a step that cannot be done", Fault: "failed: made up", End: "recovered", Requests: 5,
			Play: func(s *faults.Stage) (string, error) {
				s.Fail("%w", errMade)

				return "recovered", nil
			},
		},
		{
			Name: "a lab that does not start", Fault: "not played: failed to start lab", End: "recovered", Requests: 5,
			Place: faults.Alone, Options: []lab.Option{lab.WithFlags(component.Etcd, "--no-such-flag")},
			Play: func(*faults.Stage) (string, error) { return "recovered", nil },
		},
		{
			Name: "what is left behind", Fault: "failed to clean up: made up", End: "recovered", Requests: 5,
			Play: func(s *faults.Stage) (string, error) {
				s.Cleanup(func(context.Context) error { return errMade })

				return "recovered", nil
			},
		},
	}

	for i := range rows {
		rows[i].Half = faults.Recovery
	}

	return rows
}

// impostor calls itself rebound, has the node's identity, and deletes so many
// pods that run.
func impostor(s *faults.Stage, deletes int) error {
	node := s.AddNode("")
	daemonSet := s.Apply("proxy")
	s.AwaitReady()

	config, err := node.Config()
	if err != nil {
		return err
	}

	config.UserAgent = lab.ReboundUserAgent

	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}

	for range deletes {
		if err := client.CoreV1().Pods(s.Name).Delete(s.Context(), node.Pod(daemonSet).Name, metav1.DeleteOptions{}); err != nil {
			return err
		}
	}

	for range 6 - 3*deletes {
		if _, err := client.CoreV1().Nodes().Get(s.Context(), node.Name(), metav1.GetOptions{}); err != nil {
			return err
		}
	}

	return nil
}

func TestInterruptedRowsHaveFailed(t *testing.T) {
	t.Parallel()

	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	rows := []faults.Row{{Name: "one"}, {Name: "two", Place: faults.Alone}, {Name: "three", Place: faults.InTurn}}
	results := (&faults.Runner{}).Run(ctx, rows)

	require.Len(t, results, len(rows))

	for i, result := range results {
		assert.Equal(t, rows[i].Name, result.Name)
		assert.False(t, result.Passed)
		assert.Contains(t, result.Seen, "not played: ")
	}
}

func TestCommandListsRowsAndPlaysNone(t *testing.T) {
	t.Parallel()

	var out bytes.Buffer

	require.NoError(t, faults.Run(t.Context(), faults.Options{List: true}, &out))

	for _, row := range faults.Rows() {
		assert.Contains(t, out.String(), row.Name)
	}
}

func TestCommandWantsWhatItPlaysWith(t *testing.T) {
	t.Parallel()

	self, err := os.Executable()
	require.NoError(t, err)

	good := faults.Options{Times: 1, Rebound: self, Coordinator: self, Manifests: ".", Out: t.TempDir()}

	for _, test := range []struct {
		name  string
		spoil func(*faults.Options)
		want  string
	}{
		{"no times", func(options *faults.Options) { options.Times = 0 }, "--times is 0"},
		{"no rebound", func(options *faults.Options) { options.Rebound = "nowhere" }, "or name it with --rebound"},
		{"no coordinator", func(options *faults.Options) { options.Coordinator = "nowhere" }, "or name it with --rebound-coordinator"},
		{"no manifests", func(options *faults.Options) { options.Manifests = "nowhere" }, "name their folder with --manifests"},
		{"no folder for reports", func(options *faults.Options) { options.Out = self }, "failed to create folder for reports"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()

			options := good
			test.spoil(&options)
			require.ErrorContains(t, faults.Run(t.Context(), options, os.Stderr), test.want)
		})
	}
}
