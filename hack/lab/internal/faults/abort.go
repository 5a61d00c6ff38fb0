// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults

import (
	"context"
	"errors"
	"fmt"
)

// abort is what ends a row early. It is thrown by the methods of a stage, as
// those of a test are that cannot go on, and caught by play alone: a row of forty
// steps has one line for each, and not four.
type abort struct{ err error }

// must ends the row if there is an error.
func must(err error) {
	if err != nil {
		panic(abort{err})
	}
}

// must1 does the same, and returns the value if there is none.
func must1[T any](value T, err error) T {
	must(err)

	return value
}

// Fail ends the row, with what is wrong.
func (s *Stage) Fail(format string, args ...any) { must(fmt.Errorf(format, args...)) }

// Check ends the row if the condition does not hold. The words say what is wrong
// then.
func (s *Stage) Check(holds bool, format string, args ...any) {
	if !holds {
		s.Fail(format, args...)
	}
}

// play runs the row's func.
func (row *Row) play(s *Stage) (end string, err error) {
	defer func() {
		switch thrown := recover().(type) {
		case nil:
		case abort:
			end, err = "", thrown.err
		default:
			panic(thrown)
		}

		// The deadline says more than what was cut off by it.
		if err != nil && s.ctx.Err() != nil && !errors.Is(err, context.Cause(s.ctx)) {
			err = fmt.Errorf("%w: %w", context.Cause(s.ctx), err)
		}
	}()

	return row.Play(s)
}
