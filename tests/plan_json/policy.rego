package main

import rego.v1

deny contains message if {
	some change in input.resource_changes
	"delete" in change.change.actions
	message := sprintf("%s would be deleted (%s)", [change.address, concat("+", change.change.actions)])
}

deny contains message if {
	some change in input.resource_changes
	change.change.actions == ["update"]
	message := sprintf("%s changes from %v to %v", [change.address, change.change.before.input, change.change.after.input])
}

deny contains message if {
	some change in input.resource_changes
	change.change.after_sensitive.input == true
	message := sprintf("%s keeps a secret", [change.address])
}

deny contains message if {
	some change in input.resource_changes
	change.change.after_unknown.id
	message := sprintf("%s is made anew, index %v, module %s", [
		change.address, object.get(change, "index", "none"), object.get(change, "module_address", "root"),
	])
}

warn contains message if {
	some name, change in input.output_changes
	change.actions != ["no-op"]
	message := sprintf("output %s: %s", [name, concat("+", change.actions)])
}

warn contains message if {
	some resource in input.configuration.root_module.resources
	some reference in resource.expressions.input.references
	startswith(reference, "var.")
	message := sprintf("%s is made from %s, which is %v", [
		resource.address, reference, input.variables[trim_prefix(reference, "var.")].value,
	])
}

warn contains message if {
	not input.errored
	input.applyable
	input.complete
	message := sprintf("%d objects before", [count(input.prior_state.values.root_module.resources)])
}
