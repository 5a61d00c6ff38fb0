module github.com/talos-rebound/rebound/hack/mutants

go 1.26.6
