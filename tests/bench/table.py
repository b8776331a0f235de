"""Turns figures of both sides into one table, with a word on every aim that is missed."""
import statistics

# label, metric, unit, factor to that unit, aim as text, aim as a test of (kiln, real) or None
ROWS = [
    ("idle receiver, paired: RSS", "idle_paired_rss_mb", "MB", 1, "<= 1/8", lambda k, r: k * 8 <= r),
    ("idle receiver, paired: PSS", "idle_paired_pss_mb", "MB", 1, "<= 1/8", lambda k, r: k * 8 <= r),
    ("RSS after uploads", "after_uploads_rss_mb", "MB", 1, "", None),
    ("RSS after fetches", "after_fetches_rss_mb", "MB", 1, "", None),
    ("start to serving, fresh state", "start_fresh_s", "ms", 1e3, "<= 1/15",
     lambda k, r: k * 15 <= r),
    ("start to serving, existing state", "start_again_s", "ms", 1e3, "<= 1/15",
     lambda k, r: k * 15 <= r),
    ("preview", "preview_s", "ms", 1e3, "", None),
    ("session open", "session_open_s", "ms", 1e3, "", None),
    *[(f"upload {mb} MB, stock client", f"upload_{mb}_s", "ms", 1e3, "", None)
      for mb in (1, 16, 60, 120)],
    *[(f"receiver CPU per GB, {mb} MB uploads", f"upload_{mb}_cpu_s_per_gb", "s/GB", 1,
       "<= 1/4", lambda k, r: k * 4 <= r) for mb in (16, 60, 120)],
    ("receiver peak RSS, upload 60 MB", "upload_60_peak_rss_mb", "MB", 1, "", None),
    ("receiver peak RSS, upload 120 MB", "upload_120_peak_rss_mb", "MB", 1, "flat", None),
    ("growth during upload of 120 MB", "upload_120_grown_mb", "MB", 1, "<= 8 MB",
     lambda k, r: k <= 8),
    *[(f"fetch {mb} MB, {what}", f"fetch_{kind}_{mb}_s", "ms", 1e3, f">= {times}x",
       lambda k, r, times=times: k * times <= r)
      for kind, what, times in (("noise", "incompressible", 5), ("code", "compressible", 10))
      for mb in (24, 60)],
    *[(f"- of it until the first frame, {mb} MB, {what}", f"fetch_{kind}_{mb}_pack_s", "ms", 1e3,
       "", None)
      for kind, what in (("noise", "incompressible"), ("code", "compressible")) for mb in (24, 60)],
    *[(f"- on the wire, {mb} MB, compressible", f"fetch_code_{mb}_wire_mb", "MB", 1, "", None)
      for mb in (24, 60)],
    ("receiver peak RSS, fetch 60 MB", "fetch_noise_60_peak_rss_mb", "MB", 1, "flat", None),
    ("submit to acknowledgement", "submit_to_ack_s", "ms", 1e3, "", None),
    ("submit to compiler start", "submit_to_running_s", "ms", 1e3, "<= 5 ms",
     lambda k, r: k <= 0.005),
    ("submit to completed (small job)", "submit_to_completed_s", "ms", 1e3, "", None),
    ("log lines per second, stock client", "lines_per_s", "/s", 1, "", None),
    ("receiver CPU per log line", "line_cpu_us", "us", 1, "", None),
    ("receiver peak RSS during log lines", "lines_peak_rss_mb", "MB", 1, "", None),
    *[(f"decision after a change, {count:,} peers", f"decide_changed_{count}_s", "us", 1e6, aim,
       (lambda k, r: k <= 1e-6) if aim else None)
      for count, aim in ((10, "<= 1 us"), (1_000, ""), (100_000, ""))],
    *[(f"- of it the decision, {count:,} peers", f"decide_{count}_s", "us", 1e6, "", None)
      for count in (10, 1_000, 100_000)],
    ("bundle step", "bundle_s", "ms", 1e3, "", None),
]
# Kiln to Kiln, beside the real client and the real receiver.
OWN = [
    *[(f"upload {mb} MB, both ends", f"own_upload_{mb}_s", f"upload_{mb}_s", mb, ">= 3x")
      for mb in (1, 16, 60)],
    *[(f"fetch {mb} MB, both ends", f"own_fetch_{mb}_s", f"fetch_noise_{mb}_s", mb, "")
      for mb in (60,)],
]


def figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def times(kiln: float, real: float, more_is_better: bool) -> str:
    if not kiln or not real:
        return ""
    ratio = kiln / real if more_is_better else real / kiln
    if ratio >= 1.1:
        return f"{ratio:,.1f}x better"
    return "tie" if ratio > 0.9 else f"**{1 / ratio:.1f}x worse**"


def markdown(results: dict) -> str:
    medians = {metric: {side: statistics.median(values) for side, values in row.items()}
               for metric, row in results["figures"].items()}
    lines = ["| | Kiln | real dashboard | | aim | met |", "|---|---|---|---|---|---|"]
    for label, metric, unit, factor, aim, test in ROWS:
        row = medians.get(metric)
        if not row or "kiln" not in row:
            continue
        kiln, real = row["kiln"], row.get("real", 0.0)
        met = "" if test is None else ("yes" if test(kiln, real) else "**no**")
        lines.append(
            f"| {label} | {figure(kiln * factor)} {unit} | "
            f"{figure(real * factor) + ' ' + unit if real else '-'} | "
            f"{times(kiln, real, unit == '/s')} | {aim} | {met} |")
    for label, own, other, mb, aim in OWN:
        if own in medians:
            kiln, real = medians[own]["kiln"], medians.get(other, {}).get("real", 0.0)
            met = "" if not aim else ("yes" if real and kiln * 3 <= real else "**no**")
            lines.append(
                f"| {label} | {figure(kiln * 1e3)} ms, {figure(mb / kiln)} MB/s | "
                + (f"{figure(real * 1e3)} ms, {figure(mb / real)} MB/s" if real else "-")
                + f" | {times(kiln, real, False)} | {aim} | {met} |")
    return "\n".join(lines) + "\n"
