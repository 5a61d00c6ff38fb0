// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package rebootdemo

import (
	"cmp"
	"context"
	"fmt"
	"time"

	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
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
	err := t.cluster.Apply(ctx,
		lab.Deployment(metav1.NamespaceDefault, protected, 1, lab.OnNode(worker)),
		lab.DisruptionBudget(metav1.NamespaceDefault, protected, 0),
	)
	if err != nil {
		return err
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

	return t.cluster.Apply(ctx, lab.DisruptionBudget(metav1.NamespaceDefault, protected, 1))
}
