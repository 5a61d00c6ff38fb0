// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
)

// waitFor watches objects of one resource until the condition holds. The
// condition is asked about every object there is, and then about every change.
func waitFor(ctx context.Context, client rest.Interface, resource, namespace string, selector fields.Selector, object runtime.Object, condition watchtools.ConditionFunc) error {
	source := cache.NewListWatchFromClient(client, resource, namespace, selector)

	if _, err := watchtools.UntilWithSync(ctx, source, object, nil, condition); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}

		return err
	}

	return nil
}

// waitNamespace waits until pods can be created in the namespace: until it has
// its default service account.
func (lab *Lab) waitNamespace(ctx context.Context, name string) error {
	err := waitFor(ctx, lab.client.CoreV1().RESTClient(), "serviceaccounts", name,
		fields.OneTermEqualSelector("metadata.name", "default"), &corev1.ServiceAccount{},
		func(event watch.Event) (bool, error) { return event.Type != watch.Deleted, nil })
	if err != nil {
		return fmt.Errorf("failed to wait for the service account of namespace %q: %w", name, err)
	}

	return nil
}
