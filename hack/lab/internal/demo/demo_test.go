// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package demo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/hack/lab/component"
	"github.com/talos-rebound/rebound/hack/lab/internal/demo"
	"github.com/talos-rebound/rebound/hack/lab/internal/labtest"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

func TestMain(m *testing.M) {
	component.RunIfAsked()

	labtest.RequireKubernetes(filepath.Join("..", "..", "..", ".."))

	os.Exit(m.Run())
}

func TestDemoRebootsAllNodesAndReports(t *testing.T) {
	t.Parallel()

	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()

	var out bytes.Buffer

	folder := filepath.Join(t.TempDir(), "a", "b")

	err := demo.Run(ctx, demo.Options{Reboots: 2, Rebound: labtest.Rebound(t, filepath.Join("..", "..", "..", "..")), Out: folder}, &out)
	require.NoError(t, err, out.String())

	assert.Regexp(t, `\$ rebound health -n worker-a
(.*\n)* *[0-9.]+ s    waiting for DaemonSet pods to recover: worker-a: unreachable: .*
(.*\n)* *[0-9.]+ s  worker-a: booting
(.*\n)* *[0-9.]+ s    waiting for DaemonSet pods to recover: OK
 *[0-9.]+ s    1 node recovered
`, out.String())

	text, err := os.ReadFile(filepath.Join(folder, "report.json"))
	require.NoError(t, err)

	var report demo.Report

	require.NoError(t, json.Unmarshal(text, &report))

	assert.NotEmpty(t, report.KubernetesVersion)
	assert.Positive(t, report.FloorSeconds)
	assert.Positive(t, report.Agent.ResidentBytes)
	assert.Positive(t, report.Agent.CPUSeconds)

	hosts := make([]specs.Host, len(report.Reboots))
	for i, reboot := range report.Reboots {
		hosts[i] = reboot.Host
		assert.Equal(t, reboot.Host != demo.HostNone, reboot.Rebound)
		assert.Equal(t, reboot.Rebound, reboot.APIRequests.Total() > 0, "%+v", reboot)
	}

	reboot := []specs.Host{specs.HostMachined, demo.HostNone, specs.HostAgent}
	assert.Equal(t, slices.Repeat(reboot, 2), hosts)
	assert.FileExists(t, filepath.Join(folder, "report.html"))
	assert.FileExists(t, filepath.Join(folder, "report.svg"))
}

func TestDemoRefusesBadOptionsBeforeItStartsAnything(t *testing.T) {
	t.Parallel()

	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))

	for _, tc := range []struct {
		name    string
		options demo.Options
		says    string
	}{
		{"no reboots", demo.Options{Out: t.TempDir()}, "--reboots is 0: the nodes have to be rebooted at least once"},
		{"no agent to run", demo.Options{Reboots: 1, Rebound: file, Out: t.TempDir()}, "build it with 'go build -C cmd/rebound -o " + file + " .'"},
		{"no agent beside the program", demo.Options{Reboots: 1, Out: t.TempDir()}, "no such file or directory: build it with"},
		{"a file in the place of the folder", demo.Options{Reboots: 1, Rebound: os.Args[0], Out: file}, "failed to create folder for reports"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			var out bytes.Buffer

			assert.ErrorContains(t, demo.Run(t.Context(), tc.options, &out), tc.says)
			assert.Empty(t, out.String())
		})
	}
}
