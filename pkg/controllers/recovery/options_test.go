// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/internal/ctest"
	"github.com/talos-rebound/rebound/pkg/controllers/recovery"
	recoveryres "github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

func TestAWrongOptionIsAnErrorAtConstruction(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		name   string
		option recovery.Option
		says   string
	}{
		{"no owner groups", recovery.WithOwnerGroups(), `no owner groups: name at least one API group, such as "apps"`},
		{"the core group", recovery.WithOwnerGroups("apps", ""), `owner group "" is not an API group`},
		{"a group with a version", recovery.WithOwnerGroups("apps/v1"), `owner group "apps/v1" is not an API group`},
		{"a cap of zero", recovery.WithRejectionCap(0), "rejection cap 0 is less than 1"},
		{"a negative cap", recovery.WithRejectionCap(-1), "rejection cap -1 is less than 1"},
		{"a negative settle time", recovery.WithSettleTime(-time.Second), "settle time -1s is negative"},
		{"a relative kubeconfig path", recovery.WithKubeconfigPath("kubeconfig"), `kubeconfig path "kubeconfig" is not absolute`},
		{"no boot id path", recovery.WithBootIDPath(""), `boot id path "" is not absolute`},
		{"no boot time", recovery.WithBootTime(nil), "no boot time function"},
		{"no clock", recovery.WithClock(nil), "no clock"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()

			controllers, err := recovery.Controllers(tc.option)

			assert.ErrorContains(t, err, tc.says)
			assert.ErrorContains(t, err, "failed to set up the recovery controller")
			assert.Empty(t, controllers)
		})
	}
}

func TestAllWrongOptionsAreToldAtOnce(t *testing.T) {
	t.Parallel()

	_, err := recovery.Controllers(recovery.WithRejectionCap(0), recovery.WithSettleTime(-1), recovery.WithOwnerGroups())

	require.Error(t, err)
	assert.Len(t, strings.Split(err.Error(), "\n"), 3)
}

func TestTheControllersRegisterWithACOSIRuntime(t *testing.T) {
	t.Parallel()

	first, err := recovery.Controllers()
	require.NoError(t, err)

	second, err := recovery.Controllers(recovery.WithOwnerGroups("apps"), recovery.WithRejectionCap(1), recovery.WithSettleTime(0))
	require.NoError(t, err)
	require.NotSame(t, first[0], second[0])

	// A duplicate name or a shared output would keep machined from starting.
	ctest.Start(t, ctest.NewState(t), first...)
}

// TestTheZeroValueIsSetUpForMachined lets it run: without its defaults it could not even tell the time.
func TestTheZeroValueIsSetUpForMachined(t *testing.T) {
	t.Parallel()

	st := ctest.NewState(t)
	ctest.Start(t, st, &recovery.DaemonSetRecoveryController{})

	status, err := safe.StateWatchFor[*recoveryres.RecoveryStatus](t.Context(), st, recoveryres.NewRecoveryStatus().Metadata(),
		state.WithEventTypes(state.Created))
	require.NoError(t, err)
	assert.Equal(t, specs.PhaseWaiting, status.TypedSpec().Phase)
	assert.NotEmpty(t, status.TypedSpec().BootID)
}

func TestABootIDThatCannotBeReadIsNamedAndReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "later")

	boot(t, func(m *machine) {
		m.cluster.create("cilium", leftover)
		m.up()
		after(time.Minute)
		assert.Equal(t, "failed to read the boot id: open "+path+": no such file or directory", m.status().Message)

		require.NoError(t, os.WriteFile(path, []byte(bootID), 0o600))
		after(5 * time.Second)
		assert.Len(t, m.cluster.deleted(), 1)
	}, recovery.WithBootIDPath(path))
}

func TestABootTimeThatCannotBeToldIsNamed(t *testing.T) {
	boot(t, func(m *machine) {
		m.up()
		assert.Equal(t, "failed to tell the time of boot: "+os.ErrPermission.Error(), m.status().Message)
	}, recovery.WithBootTime(func() (time.Time, error) { return time.Time{}, os.ErrPermission }))
}
