// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package rebootdemo

import (
	"cmp"
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/talos-rebound/rebound/hack/lab/lab"
)

// protected is the name of the Deployment whose pod is on the worker, and of the
// PodDisruptionBudget that keeps it there.
const protected = "database"

// protect puts a pod on the worker that no eviction may take away.
func (t *telling) protect(ctx context.Context) error {
	meta := metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: protected}
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": protected}}

	deployment := &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{
		Selector: selector,
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: selector.MatchLabels},
			Spec: corev1.PodSpec{
				NodeSelector:                  map[string]string{corev1.LabelHostname: worker},
				TerminationGracePeriodSeconds: new(int64(1)),
				AutomountServiceAccountToken:  new(false),
				Containers:                    []corev1.Container{{Name: protected, Image: "registry.k8s.io/pause:3.10"}},
			},
		},
	}}

	if _, err := t.cluster.Client().AppsV1().Deployments(meta.Namespace).Create(ctx, deployment, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("failed to create Deployment %q: %w", protected, err)
	}

	budget := &policyv1.PodDisruptionBudget{ObjectMeta: meta, Spec: policyv1.PodDisruptionBudgetSpec{
		Selector: selector, MaxUnavailable: new(intstr.FromInt32(0)),
	}}

	if _, err := t.cluster.Client().PolicyV1().PodDisruptionBudgets(meta.Namespace).Create(ctx, budget, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("failed to create PodDisruptionBudget %q: %w", protected, err)
	}

	return awaitProtected(ctx, t.cluster)
}

// awaitProtected waits until the budget counts the pod as healthy.
func awaitProtected(ctx context.Context, cluster *lab.Lab) error {
	source := cache.NewListWatchFromClient(cluster.Client().PolicyV1().RESTClient(), "poddisruptionbudgets", metav1.NamespaceDefault,
		fields.OneTermEqualSelector(metav1.ObjectNameField, protected))

	_, err := watchtools.UntilWithSync(ctx, source, &policyv1.PodDisruptionBudget{}, nil, func(event watch.Event) (bool, error) {
		budget, ok := event.Object.(*policyv1.PodDisruptionBudget)

		return ok && budget.Status.CurrentHealthy == 1 && budget.Status.ObservedGeneration == budget.Generation, nil
	})
	if err != nil {
		return fmt.Errorf("failed to wait for PodDisruptionBudget %q to count its pod: %w", protected, cmp.Or(context.Cause(ctx), err))
	}

	return nil
}

// free lets the budget allow a disruption.
func (t *telling) free(ctx context.Context) error {
	t.freed = time.Now()

	_, err := t.cluster.Client().PolicyV1().PodDisruptionBudgets(metav1.NamespaceDefault).
		Patch(ctx, protected, types.MergePatchType, []byte(`{"spec":{"maxUnavailable":1}}`), metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("failed to free PodDisruptionBudget %q: %w", protected, err)
	}

	return nil
}
