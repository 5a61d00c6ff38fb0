// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package manifest

import (
	"fmt"
	"path"
	"strings"

	"github.com/siderolabs/gen/xslices"
)

// EnvironmentFile may set NODE_NAME and the like on a host where they are known only after the unit was written.
const EnvironmentFile = "/etc/default/rebound"

// kubeletUnits are the units that run a kubelet: that of kubeadm's packages and of EKS (awslabs/amazon-eks-ami
// templates/al2023/…/kubelet.service), and those of K3s and RKE2. A unit that does not exist is no reason to wait.
const kubeletUnits = "kubelet.service k3s.service k3s-agent.service rke2-server.service rke2-agent.service"

// unit is the systemd unit. Rights are taken away as far as the kubelet's credentials allow: its key is root's, and a
// plugin that a kubeconfig names runs within the same limits, with the network.
//
// Commands are what the agent runs besides itself. They may need more memory, as those that ask a package manager do, and one
// that takes too much must not take the agent with it.
func unit(binary string, args []string, commands bool) string {
	command := xslices.Map(append([]string{binary}, args...), quoted)

	memory := "MemoryMax=128M"
	if commands {
		memory = "MemoryMax=1G\nOOMPolicy=continue"
	}

	return fmt.Sprintf(`
[Unit]
Description=Rebound agent: DaemonSet pods come back after a reboot
Documentation=https://%s
# A shutdown goes the other way round, so the agent is stopped before the kubelet is.
After=network-online.target dbus.service %s
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
EnvironmentFile=-%s
ExecStart=%s
Restart=always
RestartSec=5s
TimeoutStopSec=%ds
RuntimeDirectory=%s
%s

CapabilityBoundingSet=
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
LockPersonality=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service

[Install]
WantedBy=multi-user.target
`, modulePath, kubeletUnits, EnvironmentFile, strings.Join(command, " "), stopTimeout, path.Base(runFolder), memory)
}

// modulePath is where this project is found.
const modulePath = "github.com/talos-rebound/rebound"

// quoted is an argument as ExecStart= takes it: systemd reads quotes, backslashes, specifiers and variables in it
// (systemd.service(5), "Command lines").
func quoted(arg string) string {
	escaped := strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`, `$`, `$$`).Replace(arg)

	if escaped == arg && arg != "" && arg != ";" && !strings.ContainsAny(arg, " '") {
		return arg
	}

	return `"` + escaped + `"`
}
