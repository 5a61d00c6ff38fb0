// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package hollow

import (
	cadvisor "github.com/google/cadvisor/info/v1"
	cadvisortesting "k8s.io/kubernetes/pkg/kubelet/cadvisor/testing"
)

// The machine that a node pretends to be: large enough never to matter.
const (
	machineCores  = 8
	machineMemory = 32 << 30
)

// machineInfo is a cadvisor that knows the machine's current boot.
type machineInfo struct {
	cadvisortesting.Fake

	bootID string
}

// MachineInfo implements cadvisor.Interface.
func (info *machineInfo) MachineInfo() (*cadvisor.MachineInfo, error) {
	return &cadvisor.MachineInfo{
		NumCores:       machineCores,
		MemoryCapacity: machineMemory,
		BootID:         info.bootID,
	}, nil
}
