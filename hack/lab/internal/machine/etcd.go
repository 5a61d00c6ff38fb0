// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package machine

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"

	"github.com/talos-rebound/rebound/internal/talosapi"
)

// EtcdMember is a member of the etcd that the control plane nodes show in the
// Talos API. It is only shown: the lab's own etcd is another one, in which no
// node has a part.
type EtcdMember struct {
	// ID is the member's id, which is not zero.
	ID uint64 `json:"id"`
	// Name and Address are the node's.
	Name    string     `json:"name"`
	Address netip.Addr `json:"address"`
	// Learner is whether it has no vote yet.
	Learner bool `json:"learner,omitempty"`
	// Errors are what is wrong with it.
	Errors []string `json:"errors,omitempty"`
}

// WriteEtcdMembers replaces the file at path by one with these members. A
// machine that reads it meanwhile reads either of the two.
func WriteEtcdMembers(path string, members []EtcdMember) error {
	content, err := json.MarshalIndent(members, "", "  ")
	if err != nil {
		return fmt.Errorf("failed to encode the members of etcd: %w", err)
	}

	next := filepath.Clean(path) + ".next"

	if err = os.WriteFile(next, content, 0o600); err != nil {
		return fmt.Errorf("failed to write the members of etcd: %w", err)
	}

	if err = os.Rename(next, path); err != nil {
		return fmt.Errorf("failed to replace the members of etcd: %w", err)
	}

	return nil
}

// etcd says what the node's etcd does. The first member leads.
func (machine *machine) etcd(context.Context) (talosapi.Etcd, error) {
	content, err := os.ReadFile(machine.config.EtcdMembers)
	if err != nil {
		return talosapi.Etcd{}, fmt.Errorf("failed to read the members of etcd: %w", err)
	}

	var members []EtcdMember

	if err = json.Unmarshal(content, &members); err != nil {
		return talosapi.Etcd{}, fmt.Errorf("failed to decode the members of etcd: %w", err)
	}

	var etcd talosapi.Etcd

	for _, member := range members {
		etcd.Members = append(etcd.Members, &machineapi.EtcdMember{
			Id:         member.ID,
			Hostname:   member.Name,
			PeerUrls:   []string{"https://" + netip.AddrPortFrom(member.Address, 2380).String()},
			ClientUrls: []string{"https://" + netip.AddrPortFrom(member.Address, 2379).String()},
			IsLearner:  member.Learner,
		})

		if member.Name == machine.config.Name {
			etcd.Status = &machineapi.EtcdMemberStatus{
				MemberId:  member.ID,
				Leader:    members[0].ID,
				IsLearner: member.Learner,
				Errors:    member.Errors,
			}
		}
	}

	if etcd.Status == nil {
		return talosapi.Etcd{}, fmt.Errorf("node %q is no member of etcd", machine.config.Name)
	}

	return etcd, nil
}
