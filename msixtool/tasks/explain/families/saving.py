"""The source: what keeps a VM from being saved or ends a migration there.

Source: QEMU migration/migration.c, options.c, savevm.c, vmstate.c, global_state.c; libvirt
src/qemu/qemu_migration.c.
"""

from __future__ import annotations

from msixtool.tasks.explain.families.family import CONSEQUENCE, UNSENT, family
from msixtool.tasks.finding import Code

DEVICES_SAVED = (
    family(
        "pre-save-qxl",
        "The source could not save its qxl display: the guest's driver left commands in the ring that qxl"
        " cannot read any more (or the SPICE server gives none back), so that the device's state cannot be"
        " written.",
        "Reset the display in the guest (restart its X server or driver, or switch to a text console), or"
        " restart the guest; use virtio-vga or another display instead of qxl where it comes back.",
        "pre-save failed: qxl", "pre-save for qxl failed*", "qxl_pre_save*",
        section="qxl",
    ),
    family(
        "ram-unsent",
        "The source could not send the guest's memory on: writing it failed, because the other side ended"
        " the connection, the command or file that the stream goes to failed, or the migration was"
        " cancelled.",
        "Read QEMU's log on the target host for the same time, and give it along: msixtool explain"
        " SOURCE.log TARGET.log. Where the stream goes to a command (exec:) or a file, see what that said,"
        " and that there is space.",
        "failed to save SaveStateEntry with id(name): {number}(ram)*",
        "ram_save_setup failed: Input/output error",
        "ram_save_setup failed: Broken pipe", "ram_save_setup failed: Connection reset by peer",
        "Unable to write to command: *",
        code=Code.STREAM, rank=UNSENT,
    ),
    family(
        "pre-save",
        "The source could not save the device {section}: the device itself refused to give its state (its"
        " step before saving failed). The target had no part in it.",
        "Read the lines before it in the source's log; save again when the device is idle, unplug it, or"
        " restart what it depends on (its back-end process or kernel driver).",
        "pre-save failed: {section}", "pre-save for {section} failed", "post-save failed: {section}",
        "failed to save SaveStateEntry with id(name): {number}({section})*",
        "Save of field {section}/*failed*", "Output state validation failed: {section}/*",
    ),
)  # fmt: skip
"""Of one device."""

NOT_BEGUN = (
    family(
        "headline",
        "libvirt could not do what it was asked to; this line does not say why.",
        "The reason stands in the next line, or in QEMU's log (libvirt: /var/log/libvirt/qemu/NAME.log).",
        "Failed to save domain *", "Failed to restore domain from *", "Failed to migrate domain *",
        rank=CONSEQUENCE,
    ),
    family(
        "capability-name",
        "QEMU on this host has no migration capability of the name {cap}: the releases of the two sides, or"
        " of QEMU and what drives it, have other ones (block and compress are gone since 9.1).",
        "Migrate without it, on both sides, or with QEMU releases that both have it"
        " (query-migrate-capabilities lists those that there are).",
        "Parameter 'capability' does not accept value '{cap}'",
        code=Code.CAPABILITY, field="{cap}", rank=CONSEQUENCE - 1,
    ),
    family(
        "name-unknown",
        "QEMU on this host does not know {name}: no migration capability, parameter or option of its release"
        " has this name.",
        "Migrate without it, or use a QEMU on both sides that has it (query-migrate-capabilities and"
        " query-migrate-parameters list what there is).",
        "Invalid parameter '{name}'", "Parameter '{name}' is unexpected",
        code=Code.CAPABILITY, field="{name}", rank=CONSEQUENCE - 1,
    ),
    family(
        "setting-value",
        "The setting {setting} was given a value that QEMU does not take: {expected}.",
        "Give it such a value, on both sides alike where it is one of the migration"
        " (migrate-set-parameters; query-migrate-parameters shows what is set).",
        "Option {setting} expects {expected}", "Parameter '{setting}' expects {expected}",
        code=Code.CAPABILITY, field="{setting}", rank=CONSEQUENCE - 1,
    ),
    family(
        "setting-choice",
        "The setting {setting} was given the value {value}, which this QEMU does not have.",
        "Give it one that QEMU has on both sides: releases and builds differ in what they know"
        " (query-qmp-schema lists it).",
        "Parameter '{setting}' does not accept value '{value}'",
        code=Code.CAPABILITY, field="{setting}", rank=CONSEQUENCE - 1,
    ),
    family(
        "capabilities-conflict",
        "Two settings of the migration (capabilities, parameters, the kind of connection) do not go together,"
        " or one was changed too late: the migration did not begin.",
        "Leave out one of the two that the message names, on both sides alike, and set all of them before"
        " the target"
        " is told to listen (migrate-set-capabilities, migrate-set-parameters; virsh migrate's flags).",
        "* is not compatible with *", "* is not yet compatible with *", "* not compatible with compress*",
        "* can't be used together", "* conflicts with *", "Mapped-ram migration is incompatible with *",
        "Mapped-ram only available for *", "Cannot use * with mapped-ram", "Zero copy only available *",
        "Zero copy currently only available *", "Postcopy preempt *", "* must be set before incoming starts",
        "multifd is not supported by current protocol", "cpr-exec mode requires setting *",
        "Postcopy recovery cannot work when *", "dirty-limit requires *",
        "Capability '*' requires capability '*'", "Multifd is not compatible*",
        "Parameter 'cpr-exec-command' required *",
        code=Code.CAPABILITY, rank=CONSEQUENCE - 1,
    ),
    family(
        "wrong-moment",
        "A command came at a moment when the migration cannot take it: one is under way, none is, or it is in"
        " another phase. Nothing has happened to the VM.",
        "See query-migrate (info migrate, virsh domjobinfo) for the phase, and wait for its end or cancel it"
        " (migrate_cancel).",
        "Enable postcopy with migrate_set_capability before *", "Postcopy must be started after *",
        "Migrate recover can only be run when *", "migrate-pause is currently only supported *",
        "Postcopy migration in progress, cannot cancel*", "Cannot resume if there is no paused migration",
        "Postcopy migration is paused by the user",
        "Can't migrate the vm that was paused due to previous migration",
        "the dirty rate is already being measured*",
        rank=CONSEQUENCE - 1,
    ),
)  # fmt: skip
"""Before anything was sent: what other families' words stand in too."""

SAVING = (
    family(
        "save-failed",
        "The VM's state could not be written: a device of the source refused to give its state, or where"
        " it is written failed.",
        "Read the lines before it in the source's log, and see that there is space where the state is"
        " written.",
        "put failed", "Error while writing VM state*", "Failed to take snapshot:*", "error while saving*",
        "Error -* while writing VM*", "Unable to save*", "failed to save*", "qemu_savevm_state*",
        "*savevm*failed*", "Failed to save*", "unable to save*state*", "failed to truncate migration file*",
    ),
    family(
        "libvirt-argument",
        "libvirt on one of the two hosts does not know a flag or a parameter of this migration: as a rule it"
        " is older there, or what drives it asks for more than it has.",
        "Use the same libvirt and QEMU on both hosts, or migrate without what the message names.",
        "argument unsupported: parameter *", "argument unsupported: *",
    ),
    family(
        "capability-setting",
        "A migration capability or parameter was refused as it was set: it does not go together with"
        " another one, has a value that is not allowed, or this QEMU or host does not have it.",
        "Set the capabilities alike on both sides before the migration, leaving out the one named; both"
        " QEMUs have to know it.",
        "*is not supported*capability*", "Capability*", "capability*", "*requires*capability*",
        "Invalid parameter*", "*migration capabilit*", "*incompatible with*",
        "*parameter*migrat*", "Command options are incompatible*", "*compression*", "No build-time support*",
        "For use with '-incoming defer'", "*not supported by*", "*cannot be used with*", "invalid * value*",
        "fd: migration to a file is deprecated*", "file URI has bad offset*",
        "need either 'uri' or 'channels' argument", "Channel list*", "missing 'cpr' migration channel",
        "Cannot use * with CPR", "Zero copy currently only available*", "Invalid size *",
        "Invalid migration*",
        code=Code.CAPABILITY, rank=CONSEQUENCE - 1,
    ),
    family(
        "address",
        "Where the stream is to go to or to come from is said in a way that this QEMU does not take: it does"
        " not know the kind of address, cannot read it, or has no file descriptor of that name.",
        "Give migrate or -incoming an address as tcp:HOST:PORT, unix:PATH, exec:COMMAND or (8.2 and later)"
        " file:PATH, and with fd: the number or name of a descriptor that QEMU was given.",
        "unknown migration protocol*", "error parsing address*", "Invalid file descriptor number*",
        "File descriptor named '*' has not been found", "File descriptor named '*' not found",
        "address not specified*", "host not specified*", "port not specified*",
        "invalid host/port combination*", "error parsing IPv6 address*",
        field="uri", rank=CONSEQUENCE - 1,
    ),
    family(
        "state-machine",
        "The command came at a moment when the migration cannot take it: one is under way, or none is.",
        "Wait until the migration has ended or cancel it (migrate_cancel), and see query-migrate for its"
        " state.",
        "There's a migration process in progress", "*migration*in progress*", "*migration blocker*",
        "*already in progress*", "*not migrating*", "*in wrong state*", "*wrong state*",
        "Guest is waiting for an incoming migration", "*incoming migration*already*",
        "Incoming migration already deferred", "The incoming migration has already been started",
        "'-incoming'*", "*operation cancelled*", "*migration*cancel*", "Migration is not*",
        "Switchover*", "Illegal migration incoming state*",
        "Migration not in expected state*", "Illegal migration status*", "Unknown ending state*",
        "Failed to stop the VM", "migration_stop_vm failed*", "partially unplugged device on failure",
        "Can't migrate this vm with hardware poisoned memory*",
        rank=CONSEQUENCE - 1,
    ),
    family(
        "does-not-converge",
        "The guest changes its memory faster than it can be sent, so that the migration found no end"
        " within the time or downtime that it was given.",
        "Allow a longer downtime or auto-converge, more bandwidth or multifd, or postcopy (virsh migrate"
        " --auto-converge, migrate-setmaxdowntime; in KubeVirt: allowAutoConverge, allowPostCopy); or"
        " migrate while the guest does less.",
        "Migration*timed out*", "*exceeded*timeout*", "migration stalled*", "*completionTimeout*",
        "*is not converging*", "Live migration stuck*", "Live migration is not completed after*",
        "Live migration not completed after*", "*progress timeout*", "*stuck for*and has been aborted*",
        "*migration*aborted*timeout*", "Migration timeout*", "*has been aborted*",
        field="downtime",
    ),
)  # fmt: skip
"""The cause before the consequence, the special before the general."""
