// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package scale_test

import (
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/talos-rebound/rebound/hack/lab/component"
	"github.com/talos-rebound/rebound/hack/lab/internal/labtest"
	"github.com/talos-rebound/rebound/hack/lab/internal/scale"
)

func TestMain(m *testing.M) {
	component.RunIfAsked()
	scale.RunClientIfAsked()
	labtest.RequireKubernetes(filepath.Join("..", "..", "..", ".."))
	goleak.VerifyTestMain(m)
}
