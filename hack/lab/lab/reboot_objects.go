// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

// connectReboots makes the client for the objects of coordinated reboots.
func (lab *Lab) connectReboots() error {
	lab.scheme = runtime.NewScheme()

	utilruntime.Must(scheme.AddToScheme(lab.scheme))
	utilruntime.Must(v1alpha1.AddToScheme(lab.scheme))

	config := lab.Config()
	config.APIPath = "/apis"
	config.GroupVersion = &v1alpha1.GroupVersion
	config.NegotiatedSerializer = serializer.NewCodecFactory(lab.scheme).WithoutConversion()

	client, err := rest.RESTClientFor(config)
	if err != nil {
		return fmt.Errorf("failed to create client for reboots: %w", err)
	}

	lab.reboots = client

	return nil
}

// Reboots returns a client for RebootBudgets, RebootPolicies and NodeReboots
// that may do everything. Their CRDs have to be applied first.
func (lab *Lab) Reboots() rest.Interface { return lab.reboots }

// AwaitReboot waits until there is a NodeReboot as wanted, and returns it. The
// error has what was seen last.
func (lab *Lab) AwaitReboot(ctx context.Context, node string, wanted func(*v1alpha1.NodeReboot) bool) (*v1alpha1.NodeReboot, error) {
	last, err := await(ctx, lab, v1alpha1.ResourceNodeReboots, node, &v1alpha1.NodeReboot{},
		func(reboot *v1alpha1.NodeReboot) bool { return reboot != nil && wanted(reboot) })
	if err != nil && last != nil {
		err = fmt.Errorf("%w; last seen: %+v", err, last.Status)
	}

	return last, err
}

// AwaitNoReboot waits until there is no NodeReboot for the node.
func (lab *Lab) AwaitNoReboot(ctx context.Context, node string) error {
	_, err := await(ctx, lab, v1alpha1.ResourceNodeReboots, node, &v1alpha1.NodeReboot{},
		func(reboot *v1alpha1.NodeReboot) bool { return reboot == nil })

	return err
}

// AwaitBudget waits until the RebootBudget is as wanted, and returns it.
func (lab *Lab) AwaitBudget(ctx context.Context, wanted func(*v1alpha1.RebootBudget) bool) (*v1alpha1.RebootBudget, error) {
	last, err := await(ctx, lab, v1alpha1.ResourceRebootBudgets, v1alpha1.RebootBudgetName, &v1alpha1.RebootBudget{},
		func(budget *v1alpha1.RebootBudget) bool { return budget != nil && wanted(budget) })
	if err != nil && last != nil {
		err = fmt.Errorf("%w; last seen: %+v", err, last.Status)
	}

	return last, err
}

// await waits until the object is as wanted, nil for none, and returns it. It
// returns what was seen last even if that was not as wanted.
func await[T interface {
	runtime.Object
	comparable
}](ctx context.Context, lab *Lab, resource, name string, object T, wanted func(T) bool) (last T, err error) {
	var none T

	// What is not there is in no event.
	if wanted(none) {
		err = lab.reboots.Get().Resource(resource).Name(name).Do(ctx).Error()
		if apierrors.IsNotFound(err) {
			return none, nil
		}
	}

	err = waitWith(ctx, lab.reboots, resource, "", fields.OneTermEqualSelector("metadata.name", name), object, func(object T, deleted bool) bool {
		if last = object; deleted {
			last = none
		}

		return wanted(last)
	})
	if err != nil {
		return last, fmt.Errorf("failed to wait for %s %q: %w", resource, name, err)
	}

	return last, nil
}

// Discard deletes a NodeReboot, RebootPolicy or RebootBudget and what would keep
// it, so that it is gone without a coordinator; none is fine.
func (lab *Lab) Discard(ctx context.Context, resource, name string) error {
	if err := lab.reboots.Patch(types.MergePatchType).Resource(resource).Name(name).
		Body([]byte(`{"metadata":{"finalizers":null}}`)).Do(ctx).Error(); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("failed to remove finalizers of %s %q: %w", resource, name, err)
	}

	return lab.Remove(ctx, resource, name)
}

// Remove deletes a NodeReboot, RebootPolicy or RebootBudget; none is fine.
func (lab *Lab) Remove(ctx context.Context, resource, name string) error {
	if err := lab.reboots.Delete().Resource(resource).Name(name).Do(ctx).Error(); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("failed to delete %s %q: %w", resource, name, err)
	}

	return nil
}
