// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// CompactEtcd makes etcd forget all that is not the present state, as the API
// server has it do every five minutes: whoever wants to know what has changed
// since then has to list again.
func (lab *Lab) CompactEtcd(ctx context.Context) error {
	var state struct {
		Header struct {
			Revision string `json:"revision"`
		} `json:"header"`
	}

	// Any key does: the answer's header has the revision.
	if err := lab.askEtcd(ctx, "range", map[string]any{"key": []byte("none")}, &state); err != nil {
		return err
	}

	return lab.askEtcd(ctx, "compaction", map[string]any{"revision": state.Header.Revision, "physical": true}, &struct{}{})
}

// askEtcd calls a method of etcd's KV service through its gateway for JSON.
func (lab *Lab) askEtcd(ctx context.Context, method string, request, answer any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("failed to encode request for etcd: %w", err)
	}

	post, err := http.NewRequestWithContext(ctx, http.MethodPost, lab.etcd+"/v3/kv/"+method, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("failed to ask etcd: %w", err)
	}

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

	response, err := client.Do(post)
	if err != nil {
		return fmt.Errorf("failed to ask etcd: %w", err)
	}

	defer response.Body.Close() //nolint:errcheck // only read from

	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("failed to ask etcd for %s: %s", method, response.Status)
	}

	if err = json.NewDecoder(response.Body).Decode(answer); err != nil {
		return fmt.Errorf("failed to decode answer of etcd: %w", err)
	}

	return nil
}
