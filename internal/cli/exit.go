// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/talos-rebound/rebound/internal/kubecheck"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

// Exit codes of the commands.
const (
	// ExitRecovered means that the cluster is whole, or that the command did what it was asked for.
	ExitRecovered = 0
	// ExitNotRecovered means that the cluster was not whole in time, or that this could not be found out.
	ExitNotRecovered = 1
	// ExitUsage means that nothing was checked because the command or its configuration is wrong, or because there is
	// nothing to check. Trying again will not help.
	ExitUsage = 2
)

// failure is an error after which trying again may help; every other error is ExitUsage.
type failure struct{ error }

func (err failure) Unwrap() error { return err.error }

// ExitCode is the exit code of a command that ended with err.
func ExitCode(err error) int {
	var failed failure

	switch {
	case err == nil:
		return ExitRecovered
	case errors.As(err, &failed):
		return ExitNotRecovered
	default:
		return ExitUsage
	}
}

// Words are what a terminal shows of an error, on as many lines as it has.
func Words(err error) string {
	var lines []string
	for line := range strings.Lines(err.Error()) {
		lines = append(lines, specs.Printable(strings.TrimSuffix(line, "\n"), maxErrorLine))
	}

	return strings.Join(lines, "\n")
}

// maxErrorLine bounds a line of an error in bytes.
const maxErrorLine = 4096

const notTaken = "the endpoint hangs up, perhaps for the client certificate, check --context"

// advice is what to do about a failure with these words. The first entry that fits counts.
var advice = []struct{ words, advice string }{
	{kubecheck.FailedToList, "check that the API server is up, and that --kubeconfig and --kube-context mean this cluster"},
	{"there is no Node of that name", "check --nodes"},
	{"does not look like a TLS handshake", "what answers there is no Talos API, check --endpoints"},
	{"signed by unknown authority", "endpoint and talosconfig are of different clusters, check --endpoints and --context"},
	{"remote error: tls: ", notTaken},
	{"broken pipe", notTaken}, // the same, if it hangs up before its words are read
	{"connection reset by peer", notTaken},
	{"produced zero addresses", "the name of the endpoint is not known here, check --endpoints"},
	{"no such host", "a node is an address, or a name that the endpoint knows, check --nodes"},
	{failedToList, "check that the endpoint is up, or name another with --endpoints"},
}

// advised is a failure with what to do about it, if that is known.
func advised(err error) error {
	for _, known := range advice {
		if strings.Contains(err.Error(), known.words) {
			return failure{fmt.Errorf("%w; %s", err, known.advice)}
		}
	}

	return failure{err}
}
