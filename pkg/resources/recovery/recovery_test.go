// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package recovery_test

import (
	"encoding"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/resource/meta"
	"github.com/cosi-project/runtime/pkg/resource/protobuf"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/cosi-project/runtime/pkg/state/impl/inmem"
	"github.com/cosi-project/runtime/pkg/state/impl/namespaced"
	"github.com/cosi-project/runtime/pkg/state/registry"
	"github.com/siderolabs/talos/pkg/machinery/resources/k8s"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"github.com/talos-rebound/rebound/pkg/resources/recovery"
	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

func TestTheResourcesRegister(t *testing.T) {
	t.Parallel()

	resources := registry.NewResourceRegistry(state.WrapCore(namespaced.NewState(inmem.Build)))

	for _, definition := range recovery.ResourceDefinitions() {
		require.NoError(t, resources.Register(t.Context(), definition))
	}
}

func TestTheResourcesAreReadableAndPlural(t *testing.T) {
	t.Parallel()

	for _, definition := range recovery.ResourceDefinitions() {
		spec := definition.ResourceDefinition()
		require.NoError(t, spec.Fill(), "Fill refuses a type whose name is not plural")

		assert.Equal(t, meta.NonSensitive, spec.Sensitivity, "os:reader has to be able to read %s", spec.Type)
		assert.Equal(t, k8s.NamespaceName, spec.DefaultNamespace)
		assert.True(t, strings.HasSuffix(spec.Type, ".recovery.talos.dev"), spec.Type)
	}
}

// TestTheResourcesCanBeNamedWithoutAmbiguity compares with every type of the Talos that go.mod names: two types that
// share an alias cannot be asked for by it any more.
// Health checks and people ask for them by these names.
func TestTheResourcesHaveTheirNames(t *testing.T) {
	t.Parallel()

	assert.Equal(t, "RecoveryStatuses.recovery.talos.dev(k8s/recovery)", resource.String(recovery.NewRecoveryStatus()))
	assert.Equal(t, "DaemonSetRecoveries.recovery.talos.dev(k8s/kube-system/cilium)",
		resource.String(recovery.NewDaemonSetRecovery("kube-system/cilium")))
}

func TestTheResourcesCanBeNamedWithoutAmbiguity(t *testing.T) {
	t.Parallel()

	taken := map[string]string{}

	for _, name := range talosTypes(t) {
		for _, alias := range aliases(t, meta.ResourceDefinitionSpec{Type: name}) {
			taken[alias] = name
		}
	}

	require.Contains(t, taken, "rs", "if Talos' types were not found, the comparison means nothing")

	for _, definition := range recovery.ResourceDefinitions() {
		spec := definition.ResourceDefinition()
		names := aliases(t, spec)

		for _, alias := range names {
			assert.NotContains(t, taken, alias, "%s and %s cannot both be called %q", spec.Type, taken[alias], alias)
			taken[alias] = spec.Type
		}

		plural := strings.ToLower(strings.SplitN(spec.Type, ".", 2)[0])
		assert.Contains(t, names, plural)
		assert.Contains(t, names, singular(plural))
	}
}

// singular undoes the two plurals that there are.
func singular(plural string) string {
	return map[string]string{"recoverystatuses": "recoverystatus", "daemonsetrecoveries": "daemonsetrecovery"}[plural]
}

func aliases(t *testing.T, spec meta.ResourceDefinitionSpec) []string {
	t.Helper()
	require.NoError(t, spec.Fill())

	return append([]string{strings.ToLower(spec.Type)}, spec.AllAliases...)
}

func talosTypes(t *testing.T) []string {
	t.Helper()

	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/siderolabs/talos/pkg/machinery").Output()
	require.NoError(t, err)

	found, err := exec.CommandContext(t.Context(), "grep", "-rhoE", `resource\.Type\("[^"]+"\)`, strings.TrimSpace(string(dir))+"/resources").Output()
	require.NoError(t, err)

	var types []string

	for line := range strings.Lines(string(found)) {
		types = append(types, strings.Split(line, `"`)[1])
	}

	return types
}

// TestEveryFieldSurvivesTheWire sets every field to something, so that one without a tag, or with another's, is found.
func TestEveryFieldSurvivesTheWire(t *testing.T) {
	t.Parallel()

	status := recovery.NewRecoveryStatus()
	fill(reflect.ValueOf(status.TypedSpec()).Elem(), 1)

	daemonSet := recovery.NewDaemonSetRecovery("kube-system/cilium")
	fill(reflect.ValueOf(daemonSet.TypedSpec()).Elem(), 1)

	for _, tc := range []struct {
		resource resource.Resource
		spec     any
		empty    any
	}{
		{status, *status.TypedSpec(), &specs.RecoveryStatus{}},
		{daemonSet, *daemonSet.TypedSpec(), &specs.DaemonSetRecovery{}},
	} {
		t.Run(tc.resource.Metadata().Type(), func(t *testing.T) {
			t.Parallel()

			back := overTheWire(t, tc.resource)
			assert.True(t, resource.Equal(tc.resource, back), "protobuf gave %+v for %+v", back.Spec(), tc.spec)

			text, err := yaml.Marshal(tc.spec)
			require.NoError(t, err)
			require.NoError(t, yaml.Unmarshal(text, tc.empty))
			assert.Equal(t, tc.spec, reflect.ValueOf(tc.empty).Elem().Interface(), string(text))
		})
	}
}

// fill sets every field to a value of its own.
func fill(v reflect.Value, n int) int {
	switch value := v.Addr().Interface().(type) {
	case *time.Time:
		*value = time.Date(2026, 1, 1, 0, 0, n, 0, time.UTC)

		return n + 1
	case *string:
		*value = strings.Repeat("x", n)

		return n + 1
	case *specs.Phase:
		*value = specs.PhaseDegraded

		return n
	case *specs.DaemonSetPhase:
		*value = specs.DaemonSetPhaseExhausted

		return n
	case *int:
		*value = n

		return n + 1
	}

	for _, field := range v.Fields() {
		n = fill(field, n)
	}

	return n
}

func TestAnEmptyStatusSurvivesTheWire(t *testing.T) {
	t.Parallel()

	assert.True(t, overTheWire(t, recovery.NewRecoveryStatus()).(*recovery.RecoveryStatus).TypedSpec().FinishedAt.IsZero())
}

// overTheWire is what arrives at a client.
func overTheWire(t *testing.T, sent resource.Resource) resource.Resource {
	t.Helper()

	wire, err := protobuf.FromResource(sent)
	require.NoError(t, err)

	message, err := wire.Marshal()
	require.NoError(t, err)

	received, err := protobuf.Unmarshal(message)
	require.NoError(t, err)

	back, err := protobuf.UnmarshalResource(received)
	require.NoError(t, err)

	return back
}

func TestThePhasesReadAsWords(t *testing.T) {
	t.Parallel()

	for _, phase := range specs.PhaseValues() {
		readsAsAWord(t, phase, new(specs.Phase))
	}

	for _, phase := range specs.DaemonSetPhaseValues() {
		readsAsAWord(t, phase, new(specs.DaemonSetPhase))
	}

	var phase specs.Phase

	assert.Error(t, phase.UnmarshalText([]byte("no such phase")))
}

func readsAsAWord(t *testing.T, phase encoding.TextMarshaler, back encoding.TextUnmarshaler) {
	t.Helper()

	text, err := phase.MarshalText()
	require.NoError(t, err)
	require.NoError(t, back.UnmarshalText(text))
	assert.Equal(t, phase, reflect.ValueOf(back).Elem().Interface())
	assert.Equal(t, strings.ToLower(string(text)), string(text))
}

func TestThePrintColumnsAreFieldsOfTheSpec(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		definition meta.ResourceWithRD
		spec       any
	}{
		{&recovery.RecoveryStatus{}, specs.RecoveryStatus{}},
		{&recovery.DaemonSetRecovery{}, specs.DaemonSetRecovery{}},
	} {
		for _, column := range tc.definition.ResourceDefinition().PrintColumns {
			path := strings.Split(strings.Trim(column.JSONPath, "{}."), ".")
			assert.True(t, hasField(reflect.TypeOf(tc.spec), path), "no field %s for column %q", column.JSONPath, column.Name)
		}
	}
}

func hasField(in reflect.Type, path []string) bool {
	for field := range in.Fields() {
		if name, _, _ := strings.Cut(field.Tag.Get("yaml"), ","); name == path[0] {
			return len(path) == 1 || hasField(field.Type, path[1:])
		}
	}

	return false
}
