// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package soak_test

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

	"github.com/talos-rebound/rebound/hack/lab/internal/labtest"
	"github.com/talos-rebound/rebound/hack/lab/internal/soak"
)

// seed is one by which nodes with rebound are rebooted early, by the lab and by the
// coordinator.
const seed = 18

// options are those of a soak with what is in this repository.
func options(t *testing.T) soak.Options {
	t.Helper()

	root := filepath.Join("..", "..", "..", "..")
	coordinator := filepath.Join(t.TempDir(), "rebound-coordinator")
	require.NoError(t, labtest.BuildCoordinator(t.Context(), root, coordinator))

	return soak.Options{
		Time: 65 * time.Second, Seed: seed,
		Rebound: labtest.Rebound(t, root), Coordinator: coordinator,
		Manifests: filepath.Join(root, "cmd", "rebound-coordinator", "deploy", "base"),
		Out:       filepath.Join(t.TempDir(), "a", "b"),
	}
}

// read returns the report that a soak has written.
func read(t *testing.T, folder string) soak.Report {
	t.Helper()

	text, err := os.ReadFile(filepath.Join(folder, "soak.json"))
	require.NoError(t, err)

	var report soak.Report

	require.NoError(t, json.Unmarshal(text, &report))

	return report
}

func TestSoakLeavesNothingBehind(t *testing.T) {
	t.Parallel()

	ctx, cancel := context.WithTimeout(t.Context(), 9*time.Minute)
	defer cancel()

	var out bytes.Buffer

	options := options(t)
	require.NoError(t, soak.Run(ctx, options, &out), out.String())
	t.Log(out.String())

	report := read(t, options.Out)

	assert.True(t, report.Verdict.Passed())
	assert.NotNil(t, report.Verdict.WrongDeletes, "an empty list, not none")
	assert.Len(t, report.Minutes, 1)
	assert.Len(t, report.Events, len(soak.Plan(options.Seed, options.Time)))
	assert.NotEmpty(t, report.Trends)
	assert.Positive(t, report.Counts.Boots)
	assert.Positive(t, report.Counts.Deleted, "a soak in which rebound had nothing to do says nothing")
	assert.Positive(t, report.Counts.Coordinated)
}

func TestInterruptedSoakSaysWhatItHasFound(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()

	// Socket paths are long, and the folder of a test is as well.
	temp, err := os.MkdirTemp("", "soak-") //nolint:usetesting // as said
	require.NoError(t, err)

	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(temp)) })
	t.Setenv("TMPDIR", temp)

	var (
		options = options(t)
		screen  labtest.Screen
		ended   = make(chan error, 1)
		plan    = soak.Plan(options.Seed, options.Time)
	)

	run, interrupt := context.WithCancel(ctx)
	defer interrupt()

	go func() { ended <- soak.Run(run, options, &screen) }()

	require.NoError(t, screen.Await(ctx, plan[1].String()))
	interrupt()

	require.ErrorContains(t, <-ended, "interrupted after ")
	assert.Contains(t, screen.String(), "cordons left behind  0")
	assert.True(t, read(t, options.Out).Interrupted)
	assert.Empty(t, labtest.Processes(t, filepath.Join(temp, "rebound-lab-")))
}

func TestSoakRefusesBadOptionsBeforeItStartsAnything(t *testing.T) {
	t.Parallel()

	self, err := os.Executable()
	require.NoError(t, err)

	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))

	good := soak.Options{Time: time.Minute, Rebound: self, Coordinator: self, Manifests: ".", Out: t.TempDir()}

	for _, tc := range []struct {
		name  string
		spoil func(options *soak.Options)
		says  string
	}{
		{"no time", func(options *soak.Options) { options.Time = time.Second }, "at least 45s are needed"},
		{"no agent", func(options *soak.Options) { options.Rebound = file }, "or name it with --rebound"},
		{"no coordinator", func(options *soak.Options) { options.Coordinator = file }, "or name it with --rebound-coordinator"},
		{"no manifests", func(options *soak.Options) { options.Manifests = "nowhere" }, "name their folder with --manifests"},
		{"a file in the place of the folder", func(options *soak.Options) { options.Out = file }, "failed to create folder for reports"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			var out bytes.Buffer

			options := good
			tc.spoil(&options)

			assert.ErrorContains(t, soak.Run(t.Context(), options, &out), tc.says)
			assert.Empty(t, out.String())
		})
	}
}
