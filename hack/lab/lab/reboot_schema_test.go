// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/dynamic"

	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

const (
	budgets  = v1alpha1.ResourceRebootBudgets
	policies = v1alpha1.ResourceRebootPolicies
	reboots  = v1alpha1.ResourceNodeReboots
)

// kinds are those of the resources.
var kinds = map[string]string{budgets: "RebootBudget", policies: "RebootPolicy", reboots: "NodeReboot"}

// refused has a bad object for every rule, and what the server names. What the
// server took and the types could not read would be worse than bad: no client
// could list the objects of that kind any more, the coordinator with them.
var refused = map[string]struct{ resource, object, field string }{
	"a budget of none":                {budgets, `{"spec": {"maxUnavailable": 0}}`, "spec.maxUnavailable"},
	"a negative budget":               {budgets, `{"spec": {"maxUnavailable": -1}}`, "spec.maxUnavailable"},
	"a budget past its type":          {budgets, `{"spec": {"maxUnavailable": 2147483648}}`, "spec.maxUnavailable"},
	"a budget of another name":        {budgets, `{"metadata": {"name": "other"}}`, "metadata.name"},
	"a budget in percent":             {budgets, `{"spec": {"maxUnavailable": "50%"}}`, "spec.maxUnavailable"},
	"a percentage over 100":           {policies, `{"spec": {"maxUnavailable": "101%"}}`, "spec.maxUnavailable"},
	"a percentage of 0":               {policies, `{"spec": {"maxUnavailable": "0%"}}`, "spec.maxUnavailable"},
	"a percentage with a zero":        {policies, `{"spec": {"maxUnavailable": "05%"}}`, "spec.maxUnavailable"},
	"a percentage without its sign":   {policies, `{"spec": {"maxUnavailable": "50"}}`, "spec.maxUnavailable"},
	"a percentage that is negative":   {policies, `{"spec": {"maxUnavailable": "-5%"}}`, "spec.maxUnavailable"},
	"a percentage with a fraction":    {policies, `{"spec": {"maxUnavailable": "2.5%"}}`, "spec.maxUnavailable"},
	"a percentage on two lines":       {policies, `{"spec": {"maxUnavailable": "50%\n"}}`, "spec.maxUnavailable"},
	"a maximum of 0":                  {policies, `{"spec": {"maxUnavailable": 0}}`, "spec.maxUnavailable"},
	"a maximum that is negative":      {policies, `{"spec": {"maxUnavailable": -1}}`, "spec.maxUnavailable"},
	"a maximum past its type":         {policies, `{"spec": {"maxUnavailable": 2147483648}}`, "spec.maxUnavailable"},
	"a precedence past its type":      {policies, `{"spec": {"precedence": 2147483648}}`, "spec.precedence"},
	"a precedence below its type":     {policies, `{"spec": {"precedence": -2147483649}}`, "spec.precedence"},
	"a priority past its type":        {policies, `{"spec": {"priority": 2147483648}}`, "spec.priority"},
	"a priority below its type":       {policies, `{"spec": {"priority": -2147483649}}`, "spec.priority"},
	"an operator that there is none":  {policies, `{"spec": {"nodeSelector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}}}`, "spec.nodeSelector"},
	"an operator without its values":  {policies, `{"spec": {"nodeSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}}`, "spec.nodeSelector"},
	"an operator with values":         {policies, `{"spec": {"nodeSelector": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}}}`, "spec.nodeSelector"},
	"an operator for pods":            {policies, `{"spec": {"drain": {"podSelector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}}}}`, "spec.drain.podSelector"},
	"an operator without a key":       {policies, `{"spec": {"nodeSelector": {"matchExpressions": [{"operator": "Exists"}]}}}`, "spec.nodeSelector.matchExpressions[0].key"},
	"an operator for pods, no key":    {policies, `{"spec": {"drain": {"podSelector": {"matchExpressions": [{"operator": "Exists"}]}}}}`, "spec.drain.podSelector.matchExpressions[0].key"},
	"a window without an end":         {policies, `{"spec": {"windows": [{"start": "22:00"}]}}`, "spec.windows[0].end"},
	"a window without a start":        {policies, `{"spec": {"windows": [{"end": "22:00"}]}}`, "spec.windows[0].start"},
	"a window that starts at 24:00":   {policies, window(`"start": "24:00", "end": "02:00"`), "spec.windows[0].start"},
	"a window that ends at 24:00":     {policies, window(`"start": "22:00", "end": "24:00"`), "spec.windows[0].end"},
	"a window with one digit":         {policies, window(`"start": "9:00", "end": "12:00"`), "spec.windows[0].start"},
	"a window with seconds":           {policies, window(`"start": "09:00", "end": "12:00:00"`), "spec.windows[0].end"},
	"a window with one digit at last": {policies, window(`"start": "05:00", "end": "9:00"`), "spec.windows[0].end"},
	"a window on no day":              {policies, window(`"days": ["Friday"], "start": "09:00", "end": "12:00"`), "spec.windows[0].days[0]"},
	"a window on one day twice":       {policies, window(`"days": ["Fri", "Fri"], "start": "09:00", "end": "12:00"`), "spec.windows[0].days[1]"},
	"a window shorter than a drain":   {policies, window(`"start": "09:00", "end": "09:04"`), "spec.windows"},
	"a window shorter over midnight":  {policies, `{"spec": {"drain": {"timeout": "3h"}, "windows": [{"start": "23:00", "end": "01:59"}]}}`, "spec.windows"},
	"more windows than 32":            {policies, `{"spec": {"windows": [` + strings.Repeat(`{"start": "09:00", "end": "12:00"}, `, 32) + `{"start": "09:00", "end": "12:00"}]}}`, "spec.windows"},
	"a zone that there is none":       {policies, window(`"start": "09:00", "end": "12:00", "timeZone": "Mars/Phobos"`), "spec.windows[0].timeZone"},
	"the zone of the server":          {policies, window(`"start": "09:00", "end": "12:00", "timeZone": "Local"`), "spec.windows[0].timeZone"},
	"an offset for a zone":            {policies, window(`"start": "09:00", "end": "12:00", "timeZone": "+02:00"`), "spec.windows[0].timeZone"},
	"a file for a zone":               {policies, window(`"start": "09:00", "end": "12:00", "timeZone": "../UTC"`), "spec.windows[0].timeZone"},
	"an empty zone":                   {policies, window(`"start": "09:00", "end": "12:00", "timeZone": ""`), "spec.windows[0].timeZone"},
	"a zone that has no end":          {policies, window(`"start": "09:00", "end": "12:00", "timeZone": "` + strings.Repeat("A", 65) + `"`), "spec.windows[0].timeZone"},
	"a drain without an end":          {policies, `{"spec": {"drain": {"timeout": "0s"}}}`, "spec.drain.timeout"},
	"a drain of a JSON number":        {policies, `{"spec": {"drain": {"timeout": 300}}}`, "spec.drain.timeout"},
	"a negative grace period":         {policies, `{"spec": {"drain": {"gracePeriodSeconds": -1}}}`, "spec.drain.gracePeriodSeconds"},
	"a grace period past its type":    {policies, `{"spec": {"drain": {"gracePeriodSeconds": 9223372036854775808}}}`, "spec.drain.gracePeriodSeconds"},
	"a deed that there is none":       {policies, `{"spec": {"drain": {"onBlocked": "Wait"}}}`, "spec.drain.onBlocked"},
	"force after, without force":      {policies, `{"spec": {"drain": {"forceAfter": "1h"}}}`, "spec.drain.forceAfter"},
	"force after, with a reboot":      {policies, `{"spec": {"drain": {"onBlocked": "Reboot", "forceAfter": "1h"}}}`, "spec.drain.forceAfter"},
	"a method that there is none":     {policies, `{"spec": {"reboot": {"method": "SSH"}}}`, "spec.reboot.method"},
	"a reboot that takes no time":     {policies, `{"spec": {"reboot": {"timeout": "0s"}}}`, "spec.reboot.timeout"},
	"a condition twice":               {policies, `{"spec": {"gates": {"nodeConditions": [{"type": "A"}, {"type": "A", "status": "False"}]}}}`, "spec.gates.nodeConditions[1]"},
	"a condition without a type":      {policies, `{"spec": {"gates": {"nodeConditions": [{"status": "True"}]}}}`, "spec.gates.nodeConditions[0].type"},
	"a condition of an empty type":    {policies, `{"spec": {"gates": {"nodeConditions": [{"type": ""}]}}}`, "spec.gates.nodeConditions[0].type"},
	"a condition of no status":        {policies, `{"spec": {"gates": {"nodeConditions": [{"type": "A", "status": "Yes"}]}}}`, "spec.gates.nodeConditions[0].status"},
	"more conditions than 32":         {policies, `{"spec": {"gates": {"nodeConditions": [` + conditions(33) + `]}}}`, "spec.gates.nodeConditions"},
	"a reason that is too long":       {reboots, `{"spec": {"reason": "` + strings.Repeat("a", 257) + `"}}`, "spec.reason"},
	"a reboot past its priority":      {reboots, `{"spec": {"priority": 2147483648}}`, "spec.priority"},
	"a reboot below its priority":     {reboots, `{"spec": {"priority": -2147483649}}`, "spec.priority"},
	"a time that is no time":          {reboots, `{"spec": {"notBefore": "tomorrow"}}`, "spec.notBefore"},
	"a time without a zone":           {reboots, `{"spec": {"notBefore": "2026-03-01T12:00:00"}}`, "spec.notBefore"},
	"a time in small letters":         {reboots, `{"spec": {"notBefore": "2026-03-01t12:00:00z"}}`, "spec.notBefore"},
	"a time on no day":                {reboots, `{"spec": {"notBefore": "2026-02-30T12:00:00Z"}}`, "spec.notBefore"},
	"a time in a leap second":         {reboots, `{"spec": {"notBefore": "2016-12-31T23:59:60Z"}}`, "spec.notBefore"},
	"a time at 24:00":                 {reboots, `{"spec": {"notBefore": "2026-03-01T24:00:00Z"}}`, "spec.notBefore"},
	"a time far away":                 {reboots, `{"spec": {"notBefore": "2026-03-01T12:00:00+99:00"}}`, "spec.notBefore"},
	"a request without a zone":        {reboots, `{"spec": {"requestedAt": "2026-03-01T12:00:00"}}`, "spec.requestedAt"},
	"a request in a leap second":      {reboots, `{"spec": {"requestedAt": "2016-12-31T23:59:60Z"}}`, "spec.requestedAt"},
	"a request in small letters":      {reboots, `{"spec": {"requestedAt": "2026-03-01t12:00:00z"}}`, "spec.requestedAt"},
}

// durations are the fields with a duration: an object in which one is to be
// filled in, and its path.
var durations = map[string]string{
	`{"spec": {"cooldown": %q}}`:                                    "spec.cooldown",
	`{"spec": {"drain": {"timeout": %q}}}`:                          "spec.drain.timeout",
	`{"spec": {"drain": {"skipPodsDeletingLongerThan": %q}}}`:       "spec.drain.skipPodsDeletingLongerThan",
	`{"spec": {"drain": {"onBlocked": "Force", "forceAfter": %q}}}`: "spec.drain.forceAfter",
	`{"spec": {"reboot": {"delay": %q}}}`:                           "spec.reboot.delay",
	`{"spec": {"reboot": {"timeout": %q}}}`:                         "spec.reboot.timeout",
	`{"spec": {"gates": {"settle": %q}}}`:                           "spec.gates.settle",
}

// TestRebootSchema asks a real API server about the CRDs of coordinated
// reboots: it alone knows what it takes, and what its rules cost.
func TestRebootSchema(t *testing.T) {
	t.Parallel()

	cluster := alone(t)

	client, err := dynamic.NewForConfig(cluster.Config())
	require.NoError(t, err)

	establish(t, client)

	t.Run("refuses what contradicts itself", func(t *testing.T) { testSchemaRefuses(t, client) })
	t.Run("fills in what is left out", func(t *testing.T) { testSchemaDefaults(t, client) })
	t.Run("takes what is meant", func(t *testing.T) { testSchemaTakes(t, client) })
	t.Run("gives back what the types say", func(t *testing.T) { testSchemaRoundTrip(t, client) })
}

func testSchemaRefuses(t *testing.T, client dynamic.Interface) {
	t.Helper()

	for name, tc := range refused {
		t.Run(name, func(t *testing.T) {
			_, err := dryCreate(t, client, tc.resource, tc.object)
			require.Error(t, err, "it was taken")
			require.True(t, apierrors.IsInvalid(err), err)

			assert.ErrorContains(t, err, tc.field)
		})
	}

	for object, field := range durations {
		for _, value := range []string{"", "-1s", "soon", "300", "1d", "5 m", "PT5M", "9999999h", strings.Repeat("1s", 17)} {
			_, err := dryCreate(t, client, policies, fmt.Sprintf(object, value))
			require.True(t, apierrors.IsInvalid(err), "%s: %q: %v", field, value, err)
			assert.ErrorContains(t, err, field)
		}
	}

	t.Run("a field that there is none", func(t *testing.T) {
		_, err := dryCreate(t, client, policies, `{"spec": {"gates": {"alert": "x"}}}`)
		require.ErrorContains(t, err, `unknown field "spec.gates.alert"`)
	})
}

func testSchemaDefaults(t *testing.T, client dynamic.Interface) {
	t.Helper()

	policy := v1alpha1.RebootPolicySpec{
		MaxUnavailable: new(intstr.FromInt32(1)),
		Drain:          v1alpha1.Drain{Timeout: duration(5 * time.Minute), OnBlocked: v1alpha1.GiveUp},
		Reboot:         v1alpha1.Reboot{Method: v1alpha1.MethodAuto, Timeout: duration(15 * time.Minute)},
		Gates:          v1alpha1.Gates{Settle: duration(30 * time.Second)},
		Cooldown:       duration(time.Hour),
	}

	for _, object := range []string{`{}`, `{"spec": {}}`, `{"spec": null}`, `{"spec": {"drain": {}, "reboot": {}, "gates": {}}}`, `{"spec": {"drain": null}}`} {
		var read v1alpha1.RebootPolicy

		require.NoError(t, dryCreateInto(t, client, policies, object, &read), object)
		assert.Equal(t, policy, read.Spec, object)
	}

	var gated v1alpha1.RebootPolicy

	require.NoError(t, dryCreateInto(t, client, policies,
		`{"spec": {"windows": [{"start": "22:00", "end": "02:00"}], "gates": {"nodeConditions": [{"type": "EtcdIsVoter"}]}}}`, &gated))
	assert.Equal(t, []v1alpha1.Window{{Start: "22:00", End: "02:00", TimeZone: "UTC"}}, gated.Spec.Windows)
	assert.Equal(t, []v1alpha1.NodeConditionGate{{Type: "EtcdIsVoter", Status: "True"}}, gated.Spec.Gates.NodeConditions)

	for _, object := range []string{`{}`, `{"spec": {}}`} {
		var budget v1alpha1.RebootBudget

		require.NoError(t, dryCreateInto(t, client, budgets, object, &budget))
		assert.Equal(t, v1alpha1.RebootBudgetSpec{MaxUnavailable: 1}, budget.Spec)

		var reboot v1alpha1.NodeReboot

		require.NoError(t, dryCreateInto(t, client, reboots, object, &reboot))
		assert.Equal(t, v1alpha1.NodeRebootSpec{}, reboot.Spec)
	}
}

// testSchemaTakes has what lies just within the rules, and must be readable.
func testSchemaTakes(t *testing.T, client dynamic.Interface) {
	t.Helper()

	for _, object := range []string{
		`{"spec": {"maxUnavailable": 2147483647, "precedence": 2147483647, "priority": -2147483648}}`,
		`{"spec": {"maxUnavailable": 2.0, "precedence": 1e3, "drain": {"gracePeriodSeconds": 30.0}}}`,
		`{"spec": {"maxUnavailable": "1%"}}`,
		`{"spec": {"maxUnavailable": "100%"}}`,
		`{"spec": {"cooldown": "0s", "gates": {"settle": "0s"}, "reboot": {"delay": "0s", "timeout": "1ms"}}}`,
		`{"spec": {"cooldown": "1.5h", "drain": {"timeout": "1h30m0.5s", "onBlocked": "Force", "forceAfter": "0s"}}}`,
		`{"spec": {"drain": {"timeout": "2562047h", "gracePeriodSeconds": 0, "skipPodsDeletingLongerThan": "0s", "onBlocked": "Reboot"}}}`,
		`{"spec": {"drain": {"timeout": "24h"}, "windows": [{"start": "00:00", "end": "00:00"}]}}`,
		`{"spec": {"drain": {"timeout": "4h"}, "windows": [{"days": ["Fri"], "start": "22:00", "end": "02:00"}]}}`,
		window(`"start": "09:00", "end": "09:05"`),
		window(`"days": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], "start": "00:00", "end": "23:59", "timeZone": "Pacific/Chatham"`),
		`{"spec": {"windows": [` + strings.Repeat(`{"start": "09:00", "end": "12:00", "timeZone": "America/Argentina/Buenos_Aires"}, `, 31) + `{"start": "09:00", "end": "12:00"}]}}`,
		`{"spec": {"gates": {"nodeConditions": [` + conditions(32) + `]}}}`,
		`{"spec": {"nodeSelector": {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]},
			{"key": "a", "operator": "In", "values": ["b"]}, {"key": "a", "operator": "Exists"}, {"key": "b", "operator": "DoesNotExist", "values": []}]}}}`,
	} {
		assert.NoError(t, dryCreateInto(t, client, policies, object, &v1alpha1.RebootPolicy{}), object)
	}

	for _, object := range []string{
		`{"spec": {"reason": "` + strings.Repeat("ä", 256) + `", "priority": -2147483648, "suspend": true, "force": true}}`,
		`{"spec": {"notBefore": "2026-03-01T12:00:00Z", "requestedAt": "2026-03-01T12:00:00+02:00"}}`,
		`{"spec": {"notBefore": "2026-03-01T23:59:59.123456-23:59"}}`,
	} {
		assert.NoError(t, dryCreateInto(t, client, reboots, object, &v1alpha1.NodeReboot{}), object)
	}
}

// testSchemaRoundTrip writes objects with every field set. What the schema does
// not have would be left out.
func testSchemaRoundTrip(t *testing.T, client dynamic.Interface) {
	t.Helper()

	at := metav1.NewTime(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	named := func(resource, name string) (metav1.TypeMeta, metav1.ObjectMeta) {
		return metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: kinds[resource]}, metav1.ObjectMeta{Name: name}
	}

	budget := v1alpha1.RebootBudget{
		Spec: v1alpha1.RebootBudgetSpec{MaxUnavailable: 3, Paused: true},
		Status: v1alpha1.RebootBudgetStatus{
			Holders: []v1alpha1.SlotHolder{{Node: "a", UID: "b", Attempt: 2, Policy: "c", Since: at, Step: v1alpha1.PhaseCordoned}},
			Waiting: 4,
		},
	}
	budget.TypeMeta, budget.ObjectMeta = named(budgets, v1alpha1.RebootBudgetName)

	policy := v1alpha1.RebootPolicy{Spec: v1alpha1.RebootPolicySpec{
		NodeSelector: metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}},
		Precedence:   1, Priority: 2, MaxUnavailable: new(intstr.FromString("50%")),
		Windows: []v1alpha1.Window{{Days: []v1alpha1.Weekday{"Mon", "Fri"}, Start: "22:00", End: "02:00", TimeZone: "Europe/Berlin"}},
		Drain: v1alpha1.Drain{
			Timeout: duration(time.Minute), GracePeriodSeconds: new(int64(0)),
			PodSelector:                &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Exists"}}},
			SkipPodsDeletingLongerThan: new(duration(time.Second)), OnBlocked: v1alpha1.Force, ForceAfter: new(duration(time.Hour)),
		},
		Reboot:   v1alpha1.Reboot{Method: v1alpha1.MethodAgent, Delay: duration(1500 * time.Millisecond), Timeout: duration(time.Hour)},
		Gates:    v1alpha1.Gates{Settle: duration(0), NodeConditions: []v1alpha1.NodeConditionGate{{Type: "A", Status: "False"}}},
		Cooldown: duration(0),
	}}
	policy.TypeMeta, policy.ObjectMeta = named(policies, "all")

	reboot := v1alpha1.NodeReboot{
		Spec: v1alpha1.NodeRebootSpec{Reason: "a", Priority: new(int32(0)), NotBefore: &at, Suspend: true, Force: true, RequestedAt: &at},
		Status: v1alpha1.NodeRebootStatus{
			Phase: v1alpha1.PhaseRestoring, Reason: "A", Message: "b", Policy: "c", Place: 1, RequestedAt: &at, BootID: "d",
			Attempt: 2, FailedAttempts: 3, NextAttemptAt: &at,
			BlockedBy:    []v1alpha1.BlockingPod{{Namespace: "a", Name: "b", Budgets: []string{"c", "d"}, Message: "e"}},
			Steps:        []v1alpha1.Step{{Phase: v1alpha1.PhaseCordoned, At: at}, {Phase: v1alpha1.PhaseRestoring, At: at}},
			SettledSince: &at,
			Results: []v1alpha1.Result{
				{Outcome: v1alpha1.OutcomeGivenUp, Reason: "A", Message: "b", StartedAt: at, FinishedAt: at},
				{Outcome: v1alpha1.OutcomeRebooted, StartedAt: at, FinishedAt: at},
			},
		},
	}
	reboot.TypeMeta, reboot.ObjectMeta = named(reboots, "node")

	writeAndRead(t, client, budgets, &budget, new(v1alpha1.RebootBudget))
	writeAndRead(t, client, policies, &policy, new(v1alpha1.RebootPolicy))
	writeAndRead(t, client, reboots, &reboot, new(v1alpha1.NodeReboot))
}

// object is an object of one of the three kinds.
type object interface {
	metav1.Object
	runtime.Object
}

// writeAndRead creates the object, with its status if the resource has one, and
// expects that what is read is what was written.
func writeAndRead(t *testing.T, client dynamic.Interface, resource string, written, read object) {
	t.Helper()

	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(written)
	require.NoError(t, err)

	access := client.Resource(v1alpha1.GroupVersion.WithResource(resource))

	created, err := access.Create(t.Context(), &unstructured.Unstructured{Object: content}, strict())
	require.NoError(t, err)

	if status, ok := content["status"]; ok {
		created.Object["status"] = status

		_, err = access.UpdateStatus(t.Context(), created, metav1.UpdateOptions{FieldValidation: metav1.FieldValidationStrict})
		require.NoError(t, err)
	}

	got, err := access.Get(t.Context(), written.GetName(), metav1.GetOptions{})
	require.NoError(t, err)

	decode(t, got, read)
	written.SetUID(read.GetUID())
	written.SetResourceVersion(read.GetResourceVersion())
	written.SetGeneration(1)
	written.SetCreationTimestamp(read.GetCreationTimestamp())
	read.SetManagedFields(nil)

	// Times are read in the local zone.
	want, err := json.Marshal(written)
	require.NoError(t, err)

	have, err := json.Marshal(read)
	require.NoError(t, err)
	assert.JSONEq(t, string(want), string(have))
}

func window(fields string) string { return `{"spec": {"windows": [{` + fields + `}]}}` }

// conditions are gates with so many types.
func conditions(count int) string {
	gates := make([]string, count)
	for i := range gates {
		gates[i] = `{"type": "A` + strings.Repeat("a", i) + `"}`
	}

	return strings.Join(gates, ", ")
}

func duration(d time.Duration) metav1.Duration { return metav1.Duration{Duration: d} }

func strict() metav1.CreateOptions {
	return metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict}
}

// dryCreate asks the server what it would make of an object, which needs
// neither kind nor name.
func dryCreate(t *testing.T, client dynamic.Interface, resource, text string) (*unstructured.Unstructured, error) {
	t.Helper()

	asked := &unstructured.Unstructured{}
	require.NoError(t, json.Unmarshal([]byte(text), &asked.Object))

	asked.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kinds[resource]))

	if asked.GetName() == "" {
		asked.SetName(v1alpha1.RebootBudgetName)
	}

	options := strict()
	options.DryRun = []string{metav1.DryRunAll}

	return client.Resource(v1alpha1.GroupVersion.WithResource(resource)).Create(t.Context(), asked, options)
}

// dryCreateInto does the same, and reads the answer.
func dryCreateInto(t *testing.T, client dynamic.Interface, resource, text string, into object) error {
	t.Helper()

	answer, err := dryCreate(t, client, resource, text)
	if err != nil {
		return err
	}

	decode(t, answer, into)

	return nil
}

func decode(t *testing.T, from *unstructured.Unstructured, into object) {
	t.Helper()

	text, err := from.MarshalJSON()
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, into))
}
