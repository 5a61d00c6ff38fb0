package main

import "github.com/talos-rebound/rebound/cmd/rebound-coordinator/internal/apply"

func newTalos(string) apply.TalosAPI { return nil }
