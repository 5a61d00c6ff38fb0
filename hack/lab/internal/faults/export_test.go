// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults

import "context"

// Choose returns the rows that are asked for.
func (options *Options) Choose(rows []Row) ([]Row, error) { return options.choose(rows) }

// Context ends when the row has taken too long, or nobody waits for it any more.
func (s *Stage) Context() context.Context { return s.ctx }
