//! The catalogue of what Kiln says about jobs, links, ports, settings and refusals: one function per
//! sentence, whose name is its stable code. Each language has the same sentences under the same codes.
use crate::Sentence;

/// A sentence of the catalogue, as translators see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Template {
    /// Stable code.
    pub code: &'static str,
    /// English, with `{name}` where a value goes.
    pub english: &'static str,
    /// Names of the values.
    pub values: &'static [&'static str],
}

macro_rules! sentences {
    ($($code:ident($($value:ident),*) = $english:literal;)+) => {
        $(
            #[doc = concat!("```text\n", $english, "\n```")]
            pub fn $code($($value: impl Into<Sentence>),*) -> Sentence {
                Sentence::of(stringify!($code), $english, [$((stringify!($value), $value.into())),*])
            }
        )+

        /// Every sentence.
        pub const ALL: &[Template] = &[$(Template {
            code: stringify!($code),
            english: $english,
            values: &[$(stringify!($value)),*],
        }),+];
    };
}

sentences! {
    // Put together from others.
    both(first, second) = "{first}; {second}";
    and_more(first, count) = "{first}; and {count} more";
    with_details(what, details) = "{what}: {details}";
    either(first, second) = "{first} or {second}";

    // Why a job is where it is: clauses without a stop.
    nameless_receiver(pin) = "receiver {pin}";
    standing_of(name, standing) = "receiver {name}: {standing}";
    standing_not_approved() = "not approved yet";
    standing_disabled() = "switched off";
    standing_link_closed() = "link closed";
    standing_not_lent() = "needed by its owner";
    standing_other_version() = "another ESPHome version";
    standing_busy_with_ours() = "builds for us already";
    standing_idle() = "idle";
    standing_busy_with_others() = "busy with other work";
    standing_queue_unknown() = "has not said how busy it is";
    remote_builds_off() = "remote builds are switched off";
    no_receiver_in_use() = "no receiver is paired and switched on";
    no_receiver_now() = "no receiver can build now";
    local_overflow() = "every receiver builds for us already and this computer is idle";
    all_busy_with_ours() = "waits for a receiver to finish our work";
    link_may_return() = "waits for a receiver with the same ESPHome version";
    none_fits() = "no receiver has the same ESPHome version and a link";
    here_because(why) = "this computer: {why}";
    here_as_chosen() = "this computer: you chose it";
    here_as_declined(name, why) = "this computer: {name} declined ({why})";
    as_chosen(standing) = "{standing}, and you chose it";
    chosen_but_switched_off(standing) = "{standing}, but remote builds were switched off";
    chosen_not_paired() = "the chosen receiver is not paired any more";
    waits_for_links() = "waits for receivers to connect after the start";
    waits_for_own_version() = "waits until this computer's ESPHome has said its version";
    waits_a_moment(why) = "waits a moment for its receiver: {why}";
    waits_for_either(why) = "waits for this computer or a receiver, whichever is free first: {why}";
    waits_for_build() = "waits for its build";
    waits_for_upload_slot() = "waits for a free upload slot";
    device_offline(name) = "{name} is offline: it is flashed when it comes back";
    waits_for_lane() = "waits for the compile lane";
    waits_until_lent(why) = "waits a moment: {why}";
    being_unpacked() = "its bundle is being unpacked";
    asked_by_offloader(pin) = "offloader {pin} asked for it";
    asked_by_you() = "you asked for it";
    cleaned_everywhere() = "cleaned wherever it may have been built";
    continues_after_restart() = "continues after the restart";
    queued_there(name) = "{name}: queued there";
    works_there(name) = "{name}: works on it";
    link_lost_there(name) = "{name}: the connection was lost; the build goes on there, and is taken up again when it is back";
    asked_there(name) = "{name}: connected again, and asked how far it is";
    goes_on_there(name) = "{name}: goes on with it";

    // Why a job ended.
    cancelled() = "cancelled";
    cancelled_unconfirmed() = "cancelled; the receiver did not confirm";
    cancelled_by_offloader() = "cancelled by the offloader";
    cancelled_by_offloader_early() = "cancelled by the offloader before the build was queued";
    offloader_removed() = "the offloader was removed on this receiver";
    cancelled_there(name) = "{name} cancelled it";
    replaced() = "replaced by a newer job for this device";
    job_not_kept() = "it could not be kept here, so its sender builds it";
    environment_being_reset() = "the build environment is being reset";
    built_here_instead() = "built on this computer instead";
    build_did_not_complete() = "its build did not complete, so nothing was flashed";
    configuration_gone() = "its configuration is not in the folder any more, so nothing was flashed";
    build_is_gone() = "the build it waited for is gone, so nothing was flashed";
    stopped_while_flashing() = "Kiln stopped while it flashed; install again if the device did not change";
    flash_not_begun() = "the flash was not begun, because that could not be kept; free some disk space, then install again";
    flash_without_device() = "this flash has no device";
    given_up_after_losses(losses, why) = "given up after losing the receiver {losses} times: {why}";
    lost_connection(name) = "lost the connection to {name}";
    receiver_not_paired() = "the receiver is not paired any more";
    upload_in_the_way(name) = "{name} still waits for an upload of an earlier connection";
    silent_there(name) = "{name} said nothing more of the build after the connection came back";
    build_forgotten(name) = "{name} does not know the build any more";
    download_interrupted_twice() = "the download was interrupted twice";
    bundle_too_large(mib) = "the bundle of this configuration has {mib} MiB and receivers take 128 MiB; build here with --local";
    bundle_failed() = "the configuration cannot be bundled";
    bundle_failed_because(why) = "the configuration could not be bundled: {why}";
    bundle_empty() = "the configuration could not be bundled: ESPHome ended without an error and wrote nothing; build here with --local";
    bundle_interrupted() = "making the bundle was interrupted";
    bundle_unreadable(why) = "the bundle cannot be read: {why}";
    bundle_not_sent() = "the bundle could not be sent";
    sending_interrupted() = "sending was interrupted";
    refused_there(name, why) = "{name} refused it: {why}";
    no_reason_given() = "no reason given";
    failed_there(name, why) = "{name}: {why}";
    build_failed_there() = "the build failed there; its output says why";
    version_not_there() = "it cannot build with this ESPHome version";
    not_delivered(name, why) = "{name} built it but does not deliver the firmware: {why}";
    broken_firmware(name, why) = "{name} delivered broken firmware: {why}";
    firmware_not_stored(why) = "the firmware cannot be stored here: {why}";
    firmware_does_not_fit() = "the firmware does not fit here";
    firmware_interrupted() = "taking over the firmware was interrupted";
    no_answer_in_a_minute(name) = "{name} did not answer within a minute";
    version_cannot_be_had() = "the wanted ESPHome version cannot be had here";
    version_not_provisioned(version) = "cannot provision esphome version '{version}' (not a PyPI release or pre-release)";
    provisioning_interrupted() = "installing ESPHome was interrupted";
    process_killed() = "its process was killed";
    ended_with_code(code) = "it ended with exit code {code}";
    ended_without_code() = "it ended without an exit code";
    tool_ended_with_code(code) = "the tool ended with exit code {code}";
    ota_password_wrong() = "the device does not accept the password of its updates; the one under `ota` has to be that of its last flash";
    ota_password_missing() = "the device wants a password for its updates, and the configuration has none under `ota`";
    ota_too_large() = "the firmware is too large for the device's update partition; flash it by cable once";
    device_not_found() = "the device is not found in the network; is it on and in the same one, or new, so that it needs a cable first?";
    device_does_not_answer() = "the device does not answer; is it on, and in the same network?";
    tool_ended_by_signal() = "the tool was ended by a signal";
    tool_complained(line) = "the tool reported success, but its output says: {line}";
    output_not_taken() = "its output was not taken in time";
    not_in_box() = "its ESPHome needs files that builds of others may not read; the owner can name their folders in the setting build_folders";
    cannot_be_boxed() = "builds for others cannot be boxed on this computer";
    box_not_made(why) = "this build could not be boxed: {why}";
    program_did_not_start(program, why) = "{program} did not start: {why}";
    extract_failed() = "receiver could not process the bundle: extract_failed";
    build_not_deleted() = "what was built of it could not be deleted";
    ran_out_of_memory() = "this computer ran out of memory";
    ran_out_of_disk() = "this computer ran out of disk space";
    ended_by_system() = "the system ended it, as it does when memory runs out";
    not_unpacked_here(why) = "it could not unpack the bundle: {why}";

    // Why a build for somebody else is handed back; the sender reads it in English.
    declined(why) = "this receiver does not build it: {why}";
    receiver_full(count) = "this receiver has {count} jobs of yours already";
    receiver_takes_nothing() = "this receiver does not take builds now";
    receiver_switched_off() = "this receiver was switched off before the build began";
    daily_minutes_used(minutes) = "it built for this sender for {minutes} minutes in the last 24 hours, as long as its owner allows";
    absent_not_lent() = "it is not lent now";
    absent_ready() = "it is about to be free";
    absent_user_active() = "its owner is using this computer";
    absent_battery() = "this computer runs on battery";
    absent_power_saver() = "this computer saves power";
    absent_thermal() = "this computer is too hot";
    absent_cpu_busy() = "other programs need this computer";
    absent_low_ram() = "this computer is short of memory";
    absent_low_disk() = "this computer is short of disk space";
    absent_hours() = "it is outside the hours in which this computer is lent";
    absent_exclusive_app() = "a program needs this computer for itself";
    absent_metered() = "this computer is on a metered network";
    absent_snoozed() = "its owner paused builds for others";
    absent_user_off() = "its owner switched builds for others off";
    absent_sleeping() = "this computer goes to sleep";
    limit_seconds(seconds) = "it took longer than {seconds} s and was stopped";
    limit_wall(time) = "it took longer than {time} and was stopped";
    limit_silence(time) = "it said nothing for {time} and was stopped";
    limit_memory(percent) = "it used more than {percent} % of this computer's memory and was stopped";
    limit_processes(count) = "it ran more than {count} programs at a time and was stopped";
    limit_disk(size) = "it wrote more than {size} and was stopped";
    limit_files(count) = "it made more than {count} files and was stopped";
    limit_hidden() = "it made folders that cannot be looked into and was stopped";
    limit_output(size) = "it printed more than {size} and was stopped";
    limit_lines(count, time) = "it printed more than {count} lines in {time} and was stopped";
    limit_network(size) = "it moved more than {size} over the network and was stopped";
    minutes(count) = "{count} minutes";
    seconds(count) = "{count} s";

    // ESPHome versions on this computer.
    no_esphome() = "No ESPHome is installed; run `kiln env install` first.";
    version_not_installed(version) = "ESPHome {version} is not installed";
    version_not_pinnable(version) = "ESPHome {version} is no release that can be installed";
    install_failed(version, why) = "ESPHome {version} was not installed: {why}";
    install_step_failed(step, why) = "{step} failed: {why}";
    step_making() = "making its environment";
    step_installing() = "installing it";
    step_asking() = "making an environment";
    newest_not_named(why) = "the package index did not name an ESPHome: {why}";
    answer_not_understood() = "its answer is not understood";
    another_version(version) = "it is another version than {version}";
    took_too_long(seconds) = "it took longer than {seconds} s";
    said_nothing() = "it ended with an error and said nothing";
    no_python() = "no Python from 3.12 to 3.14 was found; install one (on Debian and Ubuntu with its -venv package), or uv from https://docs.astral.sh/uv, or name one in the setting \"python\"";
    python_unusable(python, why) = "the Python that is set ({python}) cannot be used: {why}";
    python_silent() = "it does not answer";
    python_none() = "it is no Python";
    python_too_old_or_new(version) = "it is Python {version}; ESPHome needs 3.12 to 3.14";
    python_without_venv(version) = "it cannot make environments; install python{version}-venv";
    installing_beginning() = "beginning";
    installing_python() = "looking for Python";
    installing_making() = "making the environment";
    installing_filling() = "downloading and installing";
    installing_checking() = "checking that it works";
    installing_interrupted() = "its installation was interrupted";

    // Links to other computers: clauses without a stop.
    link_hung_up() = "the connection was closed";
    link_silent() = "the peer was silent for too long";
    link_self() = "self loopback";
    link_pin_mismatch() = "pin mismatch";
    link_superseded() = "superseded";
    link_auth_rejected() = "auth rejected";
    link_other_key_on_file() = "rejected: receiver has a different key on file (re-pair)";
    link_not_on_file() = "rejected: receiver has no approval on file (re-pair)";
    link_awaits_approval() = "waiting for the receiver to accept the pairing";
    link_not_receiving() = "it does not build for others now";
    link_server_shutting_down() = "server shutting down";
    link_heartbeat() = "heartbeat timeout";
    link_malformed() = "malformed frame";
    link_client_stopped() = "client stopped";

    // Answers to requests: sentences, and what to do next.
    starting() = "Kiln is still starting.";
    starting_without_identity() = "Kiln is still starting: its identity is not loaded.";
    stopping() = "Kiln is stopping.";
    stops() = "Kiln stops.";
    hint_moment() = "Try again in a moment.";
    hint_moment_or_status() = "Try again in a moment; if it stays so, look at: kiln status";
    hint_moment_or_log() = "Try again in a moment; if it stays so, read the log of kiln serve.";
    hint_start_again() = "Start it again.";
    hint_ask_again() = "Ask again afterwards.";
    hint_wait() = "Wait until it is done.";
    hint_nothing() = "Nothing has to be done.";
    not_kept(why) = "This could not be kept: {why}";
    hint_free_or_unlock() = "Free some disk space or unlock the keyring, then try again.";
    scan_slow() = "Reading the ESPHome directory takes too long; is its disk reachable?";
    no_device(name) = "There is no device \"{name}\".";
    ambiguous_device(name) = "More than one device is called \"{name}\".";
    hint_name_file(files) = "Name the file: {files}.";
    hint_did_you_mean(name) = "Did you mean \"{name}\"?";
    hint_list_devices() = "`kiln devices` lists them.";
    hint_no_configuration() = "There is no configuration in the ESPHome directory; `kiln settings set esphome_dir DIR` chooses another one.";
    no_job(id) = "There is no job {id}.";
    job_over(id, status) = "Job {id} has already ended ({status}).";
    job_not_yours(id) = "Job {id} is no build of yours that could be done here.";
    hint_list_jobs() = "`kiln jobs` lists the known ones.";
    hint_list_builds() = "`kiln jobs` lists builds.";
    being_flashed(name) = "{name} is being flashed and may not start again if it is left half-way.";
    hint_flash_first() = "Try again when that is done, or stop the flash first.";
    under_way(name) = "{name} is being built or cleaned.";
    nothing_built(name) = "Nothing is built for {name}.";
    built_for_network(name) = "{name} was built for the network last, without what a cable needs.";
    hint_build_first() = "Install it: that builds first, then flashes.";
    status_completed() = "completed";
    status_failed() = "failed";
    status_cancelled() = "cancelled";
    own_esphome_missing() = "No ESPHome is installed on this computer. Your devices are prepared and flashed with it, wherever they are built.";
    hint_install_esphome() = "Install it with `kiln env install`, or with the button \"Install ESPHome\" in the window.";
    set_esphome_missing(set) = "The ESPHome that the setting esphome_version names is not installed: {set}.";
    hint_set_esphome() = "Install it with `kiln env install VERSION`, or empty the setting to use the newest of yours: kiln settings set esphome_version \"\"";
    own_esphome_comes(version) = "ESPHome {version} is being installed; nothing can be built or flashed before.";
    no_port(path) = "There is no serial port {path}.";
    hint_list_ports() = "`kiln ports` shows what is connected.";
    not_paired(pin) = "No receiver {pin} is paired.";
    hint_list_paired() = "`kiln receivers` lists the paired ones.";
    nobody_may_build(why) = "No receiver may build this: {why}.";
    hint_local_or_any() = "Build here with --local, or allow other versions with `kiln settings set version_policy any`.";
    cannot_build_there(standing) = "It cannot build there: {standing}.";
    remote_builds_are_off() = "Remote builds are switched off.";
    hint_remote_builds() = "Switch them on with `kiln settings set remote_builds true`.";
    hint_accept_there() = "Accept this computer on the receiver first.";
    hint_enable() = "`kiln receivers enable PIN` switches it on.";
    hint_same_network() = "Is it on and in the same network? `kiln receivers` shows what keeps it away.";
    hint_elsewhere() = "Build it elsewhere, or try again when its owner is done.";
    hint_version_policy() = "Allow other versions with `kiln settings set version_policy any`.";
    cannot_reset(name) = "{name} cannot reset its build environment on request.";
    hint_update_there() = "Update it, or reset it there.";
    not_connected(name) = "{name} is not connected.";
    newest_unknown(why) = "The newest ESPHome is not known: {why}.";
    hint_name_version() = "Then try again, or name a version: `kiln env install 2026.10.0`.";
    no_release(version) = "\"{version}\" is not an ESPHome release.";
    hint_releases() = "A release looks like 2026.10.0 or 2026.10.0b1.";
    audit_unreadable(why) = "The audit cannot be read: {why}.";
    hint_disk() = "Look at the disk, then ask again.";

    // Pairing.
    no_receiver_with_pin() = "There is no receiver with this pin.";
    hint_receivers() = "See the receivers with: kiln receivers list";
    no_offloader_with_id() = "There is no offloader with this id.";
    hint_requests() = "See who asks with: kiln requests, and who may build here with: kiln offloaders list";
    identity_not_loaded() = "The identity of this computer is not loaded.";
    key_changing() = "The key of this computer is being changed.";
    key_changing_already() = "The key is being changed already.";
    stops_before_key() = "Kiln stops before the key was changed.";
    hint_look_at_identity() = "Look at the identity after the next start.";
    hint_old_key_stays() = "The old key stays. Solve what is named, then try again.";
    label_unprintable() = "label must contain only printable characters";
    pairing_key_too_long() = "pairing_key must be at most 64 characters";
    pairing_key_unprintable() = "pairing_key must contain only printable characters";
    own_pin() = "This is the pin of this computer.";
    hint_nothing_sent() = "Nothing was sent. Correct it and ask again.";
    not_accepted_yet() = "The receiver has not accepted the pairing yet.";
    hint_accept_first() = "Accept it there first.";
    same_place() = "The receiver is already stored with this host and port.";
    nobody_could_ask() = "This computer does not build for others, so nobody could ask.";
    hint_receive() = "Switch it on first: kiln settings set receiver on";
    asks_with_another_key(pin) = "It asks with another key now: {pin}.";
    hint_compare_screens() = "Nothing was approved. Compare that with what its own screen shows.";
    approved_already() = "This offloader is approved already.";
    dashboard_not_building() = "A dashboard answered there, but it does not build for others.";
    hint_build_server() = "Switch its build server on, then try again.";
    pair_declined() = "receiver declined the pair request";
    hint_old_entry() = "If it knew this computer before, remove the old entry there, then pair again.";
    window_closed_there() = "The receiver's pairing window is closed.";
    hint_open_window() = "Open the pairing requests there (on a Kiln: kiln window open), then pair again; a receiver that shows a pairing key wants that key.";
    odd_answer() = "The receiver gave an answer that does not belong to a pair request.";
    hint_update_receiver() = "Update the receiver, then pair again.";
    unknown_answer() = "The receiver gave an answer that this Kiln does not know.";
    hint_update_kiln() = "Update Kiln, then pair again.";
    pin_changed(expected, got) = "receiver pin changed since preview; expected {expected}, got {got}";
    another_key() = "another key";
    hint_compare_again() = "Look at the receiver's own display, compare again, and pair with the pin it shows.";
    unreachable(why) = "The receiver cannot be reached: {why}.";
    hint_host_and_port() = "Check host and port, and that it is running and builds for others.";
    leads_back() = "This address leads back to this computer.";
    hint_other_address() = "Give the address of the other computer.";
    another_key_there() = "Another key answers there; the stored host and port stay.";
    hint_pair_again() = "If the receiver changed its key, pair again.";
    pairing_replaced() = "The pairing was removed or replaced meanwhile.";
    pairing_not_approved() = "The pairing is not approved any more.";
    hint_look_again() = "Look at it again with: kiln receivers list";

    // Reaching other computers, as the network says it.
    no_identity_yet() = "There is no identity yet.";
    nobody_answers(host) = "Nobody on this network answers to {host}.";
    all_lead_back(host) = "Every address of {host} leads back to this computer.";
    not_a_peer() = "The other side is not a peer: it sent text.";
    other_hung_up() = "The other side hung up.";
    cannot_connect(address, why) = "cannot connect to {address}: {why}";
    connection_broke(why) = "the connection broke: {why}";
    host_without_address(host) = "{host} has no address";
    host_unknown(host, why) = "{host} is not known: {why}";
    no_answer_to_upgrade(why) = "no answer to the upgrade: {why}";
    several_addresses(host) = "{host} has several addresses; choose a port, or one address";
    cannot_listen(host, port, why) = "cannot listen on {host} port {port}: {why}";
    no_such_interface(host) = "{host} is neither an address nor a network interface of this computer";
    refused_by_host() = "connection refused";
    reset_by_host() = "connection reset";
    host_unreachable() = "host unreachable";
    network_unreachable() = "network unreachable";
    no_free_port(first, last, host) = "no free port from {first} to {last} on {host}";
    no_answer_within(time) = "no answer within {time}";
    message_too_large(bytes) = "a message was larger than {bytes} bytes";

    // What the owner should know.
    others_cannot_reach(why) = "Others cannot reach this computer: {why}. Kiln tries again.";
    not_boxed(why) = "This computer does not receive builds, because they cannot be boxed here ({why}). `kiln settings set sandbox best_effort` receives them anyway: a paired computer can then do anything that you can do.";
    reached_nowhere(host) = "Others cannot reach this computer at {host}, and are told no address. `kiln settings set listen_host ::` listens at every address.";
    answer_too_long() = "The answer is longer than the control channel takes.";
    key_open() = "The keyring did not say whether it took a new key. Kiln puts the old one back; until then, a restart may bring up the new one.";
    records_not_written() = "Some records cannot be written. Free some disk space; Kiln tries again.";
    receiver_without_anchor(label, pin) = "The receiver {label} ({pin}) has no entry in the keyring and is not trusted; pair again.";
    offloader_without_anchor(label, pin) = "The offloader {label} ({pin}) has no entry in the keyring and is not trusted; pair again.";

    // Keyring, key and disk.
    keyring_locked() = "the keyring is locked; unlock it and try again";
    keyring_denied() = "the keyring refused access; allow Kiln to use its entries and try again";
    keyring_absent() = "there is no keyring; start one, or keep the key in a file that only you can read: start Kiln once with `kiln serve --secrets file`";
    keyring_slow(seconds) = "the keyring did not answer within {seconds} s; see whether it waits for an answer of yours, and try again";
    keyring_failed(why) = "secrets cannot be read or kept: {why}";
    key_gone(pin) = "the key of this Kiln ({pin}) is gone from the keyring; restore the keyring, or start over with `kiln serve --new-identity` (every pairing has to be made again)";
    key_in_file(pin, folder) = "the key of this Kiln ({pin}) is not in the keyring, but in {folder}; start once with `kiln serve --secrets file`, which is remembered";
    key_in_keyring(pin) = "the key of this Kiln ({pin}) is in the keyring, and was looked for in a file; start once with `kiln serve --secrets keyring`, which is remembered";
    key_wrong_size(bytes) = "the key in the keyring has {bytes} bytes instead of 32; restore the keyring, or start over with `kiln serve --new-identity` (every pairing has to be made again)";
    key_other(found, known) = "the keyring holds another key ({found}) than this Kiln was paired with ({known}); restore the keyring, or start over with `kiln serve --new-identity`";
    key_unusable(why) = "the key of this Kiln cannot be used: {why}";
    disk_full() = "the disk is full";
    state_newer(schema) = "the state was written by a newer Kiln (schema {schema}); update Kiln";
    state_damaged(why) = "the state file is damaged: {why}";
    records_anew(folder) = "move kiln.db and the files whose names begin with kiln.db- out of {folder} and start again (pairings and history begin anew, the key stays), or put a backup there";
    records_are_in(folder) = "it lies in {folder}";

    // A face and its node.
    no_node() = "No Kiln is running here.";
    hint_start_kiln() = "Start Kiln again.";
    node_unreachable(why) = "The running Kiln cannot be reached: {why}.";
    node_of_another_version(version, protocol) = "The running Kiln {version} speaks another language ({protocol}); restart it.";
    node_silent(seconds) = "The running Kiln has not answered for {seconds} s.";
    hint_end_and_start_again() = "Try again; if it stays so, end it and start it again.";
    node_said_no_hello() = "The running Kiln did not say hello.";
    node_went_away() = "The running Kiln went away.";
    folder_missing(path) = "{path} is not there.";
    not_opened(path, why) = "{path} cannot be opened: {why}.";
    not_written(path, why) = "{path} cannot be written: {why}.";
    settings_not_kept(why) = "The settings cannot be kept: {why}.";
    login_unsupported() = "this system cannot start Kiln at login; start `kiln-desktop` in its own settings";
    login_blocked() = "starting at login is switched off in the system's settings; switch it on there";
    login_failed(why) = "starting at login cannot be changed: {why}";

    // Serial ports.
    port_without_file(path) = "{path} is connected, but there is no device file for it here. A container has to be started with `--device {path}`.";
    port_in_use(path, program) = "{path} is in use by {program}. Close it, then try again.";
    port_looked_into(path) = "ModemManager looks into {path} for some seconds after it was plugged in. If flashing fails then, wait a moment and try again.";
    port_for_administrator(path) = "Only the system's administrator may use {path}. Ask them for access.";
    port_after_login(path, group) = "Your account may use {path} as a member of the group {group}, but became one after this login. Log out and in again.";
    port_for_group(path, group, user) = "Your account may not use {path}: it is for members of the group {group}. Run `sudo usermod -aG {group} {user}`, then log out and in again.";
    port_denied_macos(path) = "macOS does not let this account use {path}. Plug the device in again; if that changes nothing, log in as the user that it belongs to.";
    port_advice_linux() = "Use a cable that carries data, not a charging cable; `sudo dmesg` shows what the system says when it is plugged in.";
    port_advice_macos() = "Use a cable that carries data, not a charging cable. Boards with a CH340 or CP210x bridge need its driver on older versions of macOS.";
    port_advice_windows() = "Use a cable that carries data, not a charging cable. A device with a yellow mark in the Device Manager lacks its driver: install that of its USB bridge, CP210x (Silicon Labs) or CH340 (WCH).";
    some_program(pid) = "a program (process {pid})";

    // What availability is judged by: values and what they have to be.
    on() = "on";
    off() = "off";
    yes() = "yes";
    no() = "no";
    over() = "over";
    mains() = "mains";
    battery() = "battery";
    battery_at(percent) = "battery, {percent} %";
    heat_normal() = "normal";
    heat_hot() = "hot";
    hours_always() = "always";
    hours_outside() = "outside the hours";
    hours_inside() = "inside the hours";
    minutes_without_input(count) = "{count} min without input";
    hours_without_input(count) = "{count} h without input";
    input_just_now() = "input within the last minute";
    nobody() = "nobody";
    remote_desktop(input) = "remote desktop: {input}";
    remote_shell(input) = "SSH: {input}";
    input_not_told() = "its last input is not told";
    limited_until(without_input) = "less is used until {without_input}";
    remote_desktop_only(count) = "{count} min without input; SSH does not count";
    does_not_count() = "does not count";
    none_runs() = "none runs";
    in_full_screen() = "a program in full screen";
    none_in_full_screen() = "none in full screen";
    not_metered() = "not metered";
    metered() = "metered";
    kiln_needs(size) = "Kiln needs {size}";
    for_kiln(size) = "{size} for Kiln";
    about_percent(percent) = "about {percent} %";
    megabytes_free(count) = "{count} MB free";
    gigabytes_free(count) = "{count} GB free";

    // Settings.
    no_setting(name) = "There is no setting {name}.";
    hint_settings(names) = "The settings are: {names}.";
    not_a_value(name, expected, value) = "{name} is {expected}, not {value}; no setting was changed.";
    hint_example(name, example) = "Example: kiln settings set {name} {example}";
    expects_policy() = "one of any, release, exact and exact_required";
    expects_folder() = "an absolute folder, one in your home (~/esphome), or empty";
    expects_version() = "a version like 2026.10.0, or empty";
    expects_host() = "an address or a network interface";
    expects_port() = "a port from 1 to 65535, or 0 for any";
    expects_remote_sessions() = "one of count, desktop and ignore";
    expects_seconds() = "a number of seconds from 3600 to 2592000";
    expects_name() = "a name of at most 128 printable characters";
    expects_minutes_of_day() = "minutes from 0 to 1440";
    expects_minutes_of_hour() = "minutes from 0 to 60";
    expects_hours() = "hours per weekday like mon-fri 18:00-08:00; sat,sun all, or empty";
    expects_programs() = "names of programs separated by commas, or empty";
    expects_percentage() = "a percentage from 0 to 100";
    expects_megabytes() = "a number of megabytes, or 0";
    expects_cores() = "a number from 1 to 64";
    expects_cores_or_all() = "a number from 1 to 64, or 0 for all";
    expects_ram_percentage() = "a percentage from 5 to 75";
    expects_while_in_use() = "stop or limit";
    expects_pause() = "empty, a moment in seconds since 1970, or forever";
    expects_sandbox() = "one of required, best_effort and off";
    expects_build_hosts() = "a list of host names like github.com or *.example.net, with default for the usual ones, none, or empty";
    expects_switch() = "on or off";
    expects_path() = "a path, or empty";

    // Configurations.
    configuration_too_large(mib) = "larger than {mib} MiB";
    configuration_no_mapping() = "not a mapping of components";
    configuration_no_esphome() = "no esphome section";
    configuration_not_text() = "the file is not UTF-8 text";
    configuration_unreadable(why) = "the file cannot be read: {why}";
}
