// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
)

const (
	// fieldManager is the owner of what the lab applies.
	fieldManager = "lab"
	// establishTimeout bounds the time from a CRD to its first object.
	establishTimeout = 30 * time.Second
)

// Apply makes the objects what they are given as, one after the other, by
// server-side apply. Namespaces are created if need be. A kind that the API
// server does not know yet, because its CRD has just been applied, is waited for.
func (lab *Lab) Apply(ctx context.Context, objects ...runtime.Object) error {
	for _, object := range objects {
		plain, err := lab.unstructured(object)
		if err != nil {
			return err
		}

		if err = lab.apply(ctx, plain); err != nil {
			return fmt.Errorf("failed to apply %s %q: %w", plain.GetKind(), plain.GetName(), err)
		}
	}

	return nil
}

// ApplyManifests applies what the YAML files in the folder and below say, but
// for Deployments and what kustomize reads: the lab runs the programs itself.
// It returns what it has applied, namespaces and CRDs first.
func (lab *Lab) ApplyManifests(ctx context.Context, folder string) ([]*unstructured.Unstructured, error) {
	objects, err := readManifests(folder)
	if err != nil {
		return nil, err
	}

	for _, object := range objects {
		if err = lab.Apply(ctx, object); err != nil {
			return nil, err
		}
	}

	return objects, nil
}

// unstructured returns the object with its kind, which typed objects need not
// have.
func (lab *Lab) unstructured(object runtime.Object) (*unstructured.Unstructured, error) {
	if plain, ok := object.(*unstructured.Unstructured); ok {
		return plain, nil
	}

	kinds, _, err := lab.scheme.ObjectKinds(object)
	if err != nil {
		return nil, fmt.Errorf("failed to find the kind of an object: %w", err)
	}

	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, fmt.Errorf("failed to encode a %s: %w", kinds[0].Kind, err)
	}

	plain := &unstructured.Unstructured{Object: content}
	plain.SetGroupVersionKind(kinds[0])
	unstructured.RemoveNestedField(plain.Object, "status")

	return plain, nil
}

func (lab *Lab) apply(ctx context.Context, object *unstructured.Unstructured) error {
	ctx, cancel := context.WithTimeoutCause(ctx, establishTimeout, errors.New("the API server does not know the kind"))
	defer cancel()

	if err := lab.ensureNamespace(ctx, object.GetNamespace()); err != nil {
		return err
	}

	return wait.PollUntilContextCancel(ctx, readyInterval, true, func(ctx context.Context) (bool, error) {
		kind := object.GroupVersionKind()

		mapping, err := lab.mapper.RESTMapping(kind.GroupKind(), kind.Version)
		if meta.IsNoMatchError(err) {
			lab.mapper.Reset()

			return false, nil
		}

		if err != nil {
			return false, err
		}

		_, err = lab.dynamic.Resource(mapping.Resource).Namespace(object.GetNamespace()).
			Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
		if apierrors.IsNotFound(err) {
			// It is in discovery a moment before it is served.
			return false, nil
		}

		return err == nil, err
	})
}

// readManifests returns the objects in the YAML files, in the order in which
// they can be applied.
func readManifests(folder string) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured

	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".yaml" || filepath.Base(path) == "kustomization.yaml" {
			return err
		}

		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}

		for decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), len(content)); ; {
			object := &unstructured.Unstructured{}

			if err = decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
				return nil
			}

			if err != nil {
				return fmt.Errorf("failed to decode %q: %w", entry.Name(), err)
			}

			if len(object.Object) > 0 && object.GetKind() != "Deployment" {
				objects = append(objects, object)
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("failed to read manifests: %w", err)
	}

	slices.SortStableFunc(objects, func(a, b *unstructured.Unstructured) int { return cmp.Compare(order(a), order(b)) })

	return objects, nil
}

func order(object *unstructured.Unstructured) int {
	switch object.GetKind() {
	case "Namespace":
		return 0
	case "CustomResourceDefinition":
		return 1
	default:
		return 2
	}
}

// Read returns the object as the API server has it.
func (lab *Lab) Read(ctx context.Context, object *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	kind := object.GroupVersionKind()

	mapping, err := lab.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return nil, fmt.Errorf("failed to find %s: %w", kind, err)
	}

	found, err := lab.dynamic.Resource(mapping.Resource).Namespace(object.GetNamespace()).Get(ctx, object.GetName(), metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("failed to read %s %q: %w", kind.Kind, object.GetName(), err)
	}

	return found, nil
}
