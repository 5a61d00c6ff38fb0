// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/talos-rebound/rebound/internal/cli"
	"github.com/talos-rebound/rebound/internal/ctest"
	"github.com/talos-rebound/rebound/pkg/check"
	"github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// page is what a table of a few rows has room for, or their JSON.
const page = 64 << 10

func TestWhatANodeSaysCannotSteerTheTerminal(t *testing.T) {
	t.Parallel()

	hostile := strings.ToValidUTF8(ctest.Hostile()[:64<<10], "") // a message of gRPC has room for that
	node := ctest.NewCluster(t).AddNode(t, "worker")
	node.Say(t, recovery.RecoveryStatusSpec{
		NodeName: hostile, BootID: hostile, Phase: specs.PhaseDegraded, Message: hostile, Counts: specs.Counts{Found: 1},
	})

	res := recovery.NewDaemonSetRecovery("kube-system/cilium")
	*res.TypedSpec() = recovery.DaemonSetRecoverySpec{
		FailedPod: hostile, Reason: hostile, Replacement: hostile, ReplacementStatus: hostile, LastError: hostile,
	}
	node.Create(t, res)

	for _, format := range []cli.Format{cli.FormatText, cli.FormatJSON} {
		var out bytes.Buffer

		require.NoError(t, cli.Status(t.Context(), cli.StatusOptions{
			Socket: strings.TrimPrefix(node.Target(), "unix://"), Output: format,
		}, &out))
		ctest.AssertPrintable(t, out.String(), page)
	}
}

func TestTheNamesOfANodeCannotSteerTheTerminal(t *testing.T) {
	t.Parallel()

	for _, format := range []cli.Format{cli.FormatText, cli.FormatJSON} {
		var out bytes.Buffer

		require.NoError(t, cli.Write(&out, format, check.Judge([]check.Answer{{
			Node: check.Node{Name: ctest.Hostile(), Address: ctest.Hostile()}, Err: errors.New(ctest.Hostile()),
		}})))
		ctest.AssertPrintable(t, out.String(), page)
	}
}

func TestProgressCannotSteerTheTerminal(t *testing.T) {
	t.Parallel()

	for _, say := range []func(line string, out *bytes.Buffer){
		func(line string, out *bytes.Buffer) { cli.NewReporter(out).Update(line) },
		func(line string, out *bytes.Buffer) { cli.NewReporter(out).Log(line) },
		func(line string, out *bytes.Buffer) { cli.NewReporter(out).Finish(line) },
	} {
		var out bytes.Buffer

		say(ctest.Hostile(), &out)
		ctest.AssertPrintable(t, out.String(), page)
	}
}

func TestAnErrorCannotSteerTheTerminal(t *testing.T) {
	t.Parallel()

	assert.Equal(t, "one\ntwo", cli.Words(errors.Join(errors.New("one"), errors.New("two"))))
	ctest.AssertPrintable(t, cli.Words(errors.New(strings.ReplaceAll(ctest.Hostile(), "\n", ""))), 4096)
}

func TestALogCannotSteerTheTerminal(t *testing.T) {
	t.Parallel()

	for _, format := range []string{cli.LogJSON, cli.LogConsole} {
		var out bytes.Buffer

		logger, err := cli.NewLogger(&out, format)
		require.NoError(t, err)
		logger.Error(ctest.Hostile(), zap.Error(errors.New(ctest.Hostile())))
		ctest.AssertPrintable(t, out.String(), page)
	}
}
