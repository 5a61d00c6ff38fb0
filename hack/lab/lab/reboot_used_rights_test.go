// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/talos-rebound/rebound/hack/lab/lab"
)

// right is one verb on one resource.
type right struct{ group, resource, verb string }

// enoughScenes is after how many scenarios every right should have been used.
const enoughScenes = 15

// TestRebootUsesEveryRightThatItHas goes by the audit log of all scenarios, so
// it has to come after them: tests run in the order of their files. That no more
// rights are needed is an invariant of each of them.
func TestRebootUsesEveryRightThatItHas(t *testing.T) {
	opened, err := openTheaterIfUsed()
	if opened == nil || opened.scenes < enoughScenes {
		t.Skip("it goes by what the other scenarios have done")
	}

	require.NoError(t, err)

	used := map[right]bool{}
	records, err := opened.cluster.Audit()
	require.NoError(t, err)

	for _, record := range records {
		if record.User != lab.CoordinatorAccount.User() || record.Code == 403 {
			continue
		}

		resource := record.Resource
		if record.Subresource != "" {
			resource += "/" + record.Subresource
		}

		used[right{record.Group, resource, record.Verb}] = true
	}

	for _, granted := range opened.rights(t) {
		assert.True(t, used[granted], "%+v is granted and never used", granted)
	}
}

// rights returns what the coordinator's roles allow.
func (opened *theater) rights(t *testing.T) []right {
	t.Helper()

	roles := opened.cluster.Client().RbacV1()
	name := lab.CoordinatorAccount.Name

	everywhere, err := roles.ClusterRoles().Get(t.Context(), name, metav1.GetOptions{})
	require.NoError(t, err)

	rules := [][]rbacv1.PolicyRule{everywhere.Rules}

	for _, namespace := range []string{lab.CoordinatorAccount.Namespace, metav1.NamespaceDefault} {
		role, err := roles.Roles(namespace).Get(t.Context(), name, metav1.GetOptions{})
		require.NoError(t, err)

		rules = append(rules, role.Rules)
	}

	var rights []right

	for _, rules := range rules {
		for _, rule := range rules {
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					for _, verb := range rule.Verbs {
						rights = append(rights, right{group, resource, verb})
					}
				}
			}
		}
	}

	return rights
}
