// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package rebootdemo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/talos-rebound/rebound/hack/lab/component"
	"github.com/talos-rebound/rebound/hack/lab/internal/labtest"
	"github.com/talos-rebound/rebound/hack/lab/internal/rebootdemo"
)

func TestMain(m *testing.M) {
	component.RunIfAsked()

	labtest.RequireKubernetes(filepath.Join("..", "..", "..", ".."))

	goleak.VerifyTestMain(m)
}

// options are those of a demo with what is in this repository.
func options(t *testing.T) rebootdemo.Options {
	t.Helper()

	root := filepath.Join("..", "..", "..", "..")
	coordinator := filepath.Join(t.TempDir(), "rebound-coordinator")
	require.NoError(t, labtest.BuildCoordinator(t.Context(), root, coordinator))

	return rebootdemo.Options{
		Rebound: labtest.Rebound(t, root), Coordinator: coordinator,
		Manifests: filepath.Join(root, "cmd", "rebound-coordinator", "deploy", "base"),
		Out:       filepath.Join(t.TempDir(), "a", "b"),
	}
}

func TestDemoRebootsFourNodesAndReports(t *testing.T) {
	t.Parallel()

	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()

	var out bytes.Buffer

	options := options(t)
	require.NoError(t, rebootdemo.Run(ctx, options, &out), out.String())

	assert.Regexp(t, `worker-a 1/1: waits: Blocked: pod default/database-\S+: PodDisruptionBudget default/database allows no disruption now
(.*\n)*.* the budget of worker-a is freed
(.*\n)*.* worker-a 1/1: cordoned
(.*\n)*.* worker-a 1/1: rebooted and in service`, out.String())

	text, err := os.ReadFile(filepath.Join(options.Out, "reboots.json"))
	require.NoError(t, err)

	var report rebootdemo.Report

	require.NoError(t, json.Unmarshal(text, &report))
	assert.Equal(t, rebootdemo.Invariants{MaxUnavailableSeen: 1}, report.Invariants)
	assert.Len(t, report.Nodes, 4)

	for _, node := range report.Nodes {
		assert.True(t, node.Rebooted, node.Node)
	}

	assert.FileExists(t, filepath.Join(options.Out, "reboots.html"))
}

func TestInterruptedDemoLeavesNothingBehind(t *testing.T) {
	// Socket paths are long, and the folder of a test is as well.
	temp, err := os.MkdirTemp("", "reboots-") //nolint:usetesting // as said
	require.NoError(t, err)

	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(temp)) })
	t.Setenv("TMPDIR", temp)

	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()

	var (
		options = options(t)
		screen  labtest.Screen
		ended   = make(chan error, 1)
	)

	run, interrupt := context.WithCancel(ctx)
	defer interrupt()

	go func() { ended <- rebootdemo.Run(run, options, &screen) }()

	require.NoError(t, screen.Await(ctx, ": cordoned"))
	interrupt()

	assert.EqualError(t, <-ended, "interrupted, nothing was reported")
	assert.NoFileExists(t, filepath.Join(options.Out, "reboots.json"))
	assert.Empty(t, labtest.Processes(t, filepath.Join(temp, "rebound-lab-")))

	// Go leaves folders of its own there.
	left, err := filepath.Glob(filepath.Join(temp, "rebound-*"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestDemoRefusesBadOptionsBeforeItStartsAnything(t *testing.T) {
	t.Parallel()

	self, err := os.Executable()
	require.NoError(t, err)

	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))

	good := rebootdemo.Options{Rebound: self, Coordinator: self, Manifests: ".", Out: t.TempDir()}

	for _, tc := range []struct {
		name  string
		spoil func(options *rebootdemo.Options)
		says  string
	}{
		{"no agent", func(options *rebootdemo.Options) { options.Rebound = file }, "build it with 'go build -C cmd/rebound -o " + file + " .'"},
		{"no coordinator", func(options *rebootdemo.Options) { options.Coordinator = "" }, "or name it with --rebound-coordinator"},
		{"no manifests", func(options *rebootdemo.Options) { options.Manifests = "nowhere" }, "name their folder with --manifests"},
		{"a file in the place of the folder", func(options *rebootdemo.Options) { options.Out = file }, "failed to create folder for reports"},
		{"no kured", func(options *rebootdemo.Options) { options.Kured = "nowhere" }, "no checkout of kured: stat nowhere/cmd/kured"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			var out bytes.Buffer

			options := good
			tc.spoil(&options)

			assert.ErrorContains(t, rebootdemo.Run(t.Context(), options, &out), tc.says)
			assert.Empty(t, out.String())
		})
	}
}
