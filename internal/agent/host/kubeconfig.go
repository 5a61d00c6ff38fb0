// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"time"

	"go.uber.org/zap"
)

// Kubeconfig watches the kubelet's kubeconfig.
type Kubeconfig struct {
	// State is where its hash is published.
	State *State
	// Path is the file.
	Path string
	// Period is the time between two looks.
	Period time.Duration
	// Seen is called after every look that found the file; nil for nothing.
	Seen   func(context.Context)
	Logger *zap.Logger
}

// Watch publishes the hash of the kubeconfig until ctx is done. As in Talos, the hash is that of the file alone: it does not
// change when the certificate that the file refers to does.
func (k *Kubeconfig) Watch(ctx context.Context) {
	ticker := time.NewTicker(k.Period)
	defer ticker.Stop()

	last, problem := "", ""

	for {
		current, err := hashFile(k.Path)

		switch {
		case err != nil:
			if text := err.Error(); text != problem {
				k.Logger.Warn("cannot read the kubelet's kubeconfig", zap.Error(err))
			}

			problem = err.Error()
		case current != last:
			problem = ""

			if err = k.State.SetKubeconfig(ctx, current); err != nil {
				k.Logger.Error("failed to publish kubeconfig hash", zap.Error(err))
			} else {
				last = current
			}
		default:
			problem = ""
		}

		if err == nil && current != "" && k.Seen != nil {
			k.Seen(ctx)
		}

		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// hashFile returns the SHA-256 of a file, and nothing when there is no file.
func hashFile(path string) (string, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}

	if err != nil {
		return "", err
	}

	sum := sha256.Sum256(content)

	return hex.EncodeToString(sum[:]), nil
}
