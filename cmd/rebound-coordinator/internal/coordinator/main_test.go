// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package coordinator_test

import (
	"testing"

	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/log"
)

func TestMain(m *testing.M) {
	log.Share(zap.NewNop())
	goleak.VerifyTestMain(m)
}
