// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package kubereboot

import (
	"encoding/json"
	"maps"
	"reflect"

	"github.com/talos-rebound/rebound/pkg/apis/reboot/v1alpha1"
)

// mergePatch is the JSON merge patch (RFC 7386) that gives a NodeReboot another spec and other labels, and that fails if it
// has changed meanwhile; nil if there is nothing to change. It names what differs and nothing else, so that fields which
// only a newer version knows stay as they are.
func mergePatch(current, wanted *v1alpha1.NodeReboot) ([]byte, error) {
	before, err := fields(current.Spec)
	if err != nil {
		return nil, err
	}

	after, err := fields(wanted.Spec)
	if err != nil {
		return nil, err
	}

	spec := difference(before, after)
	labels := difference(anyValues(current.Labels), anyValues(wanted.Labels))

	if len(spec) == 0 && len(labels) == 0 {
		return nil, nil
	}

	metadata := map[string]any{"resourceVersion": current.ResourceVersion}
	if len(labels) > 0 {
		metadata["labels"] = labels
	}

	return json.Marshal(map[string]any{"metadata": metadata, "spec": spec})
}

// fields are those of a struct, by their names in JSON.
func fields(of any) (map[string]any, error) {
	text, err := json.Marshal(of)
	if err != nil {
		return nil, err
	}

	var result map[string]any

	err = json.Unmarshal(text, &result)

	return result, err
}

func anyValues(labels map[string]string) map[string]any {
	result := make(map[string]any, len(labels))
	for key, value := range labels {
		result[key] = value
	}

	return result
}

// difference has the new value of what differs; nil for what is to go.
func difference(before, after map[string]any) map[string]any {
	changed := map[string]any{}

	for key := range before {
		if _, stays := after[key]; !stays {
			changed[key] = nil
		}
	}

	maps.Copy(changed, after)
	maps.DeleteFunc(changed, func(key string, value any) bool {
		was, ok := before[key]

		return ok && reflect.DeepEqual(was, value)
	})

	return changed
}
