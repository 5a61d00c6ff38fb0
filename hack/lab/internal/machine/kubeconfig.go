// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package machine

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

// kubeconfigInterval is how often the kubelet's kubeconfig is looked at.
const kubeconfigInterval = time.Second

// watchKubeconfig publishes the hash of the kubelet's kubeconfig until ctx is
// done. As in Talos, the hash is that of the file alone: it does not change
// when the certificate that the file refers to does.
func (machine *machine) watchKubeconfig(ctx context.Context) {
	ticker := time.NewTicker(kubeconfigInterval)
	defer ticker.Stop()

	last := ""

	for {
		if current, err := hashFile(machine.config.Root.Kubeconfig()); err != nil {
			machine.logger.Error("failed to hash kubeconfig", zap.Error(err))
		} else if current != last {
			if err = machine.publishKubeconfig(ctx, current); err != nil {
				machine.logger.Error("failed to publish kubeconfig hash", zap.Error(err))
			} else {
				last = current
			}
		}

		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (machine *machine) publishKubeconfig(ctx context.Context, hash string) error {
	if hash == "" {
		return machine.resources.removeKubeconfigHash(ctx)
	}

	return machine.resources.setKubeconfigHash(ctx, hash)
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
