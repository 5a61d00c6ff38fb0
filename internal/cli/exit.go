// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import "errors"

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
