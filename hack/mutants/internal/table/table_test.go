// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package table_test

import (
	"testing"

	"github.com/talos-rebound/rebound/hack/mutants/internal/mutation"
	"github.com/talos-rebound/rebound/hack/mutants/internal/table"
)

// top is the top of the repository.
const top = "../../../.."

func TestTheTableIsCurrent(t *testing.T) {
	t.Parallel()

	if err := mutation.Check(top, table.Rows()); err != nil {
		t.Error(err)
	}
}
