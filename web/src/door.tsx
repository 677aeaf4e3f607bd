// The sign of the house: a door, and how wide it stands open.

export const Door = ({ mood = "idle" }: { readonly mood?: string }) => (
  <svg class="door" data-mood={mood} viewBox="0 0 32 32" width="26" height="26" aria-hidden="true">
    <path class="frame" d="M5 30V15a11 11 0 0 1 22 0v15" />
    <path class="light" d="M9 30V15a7 7 0 0 1 14 0v15z" />
    <path class="leaf" d="M9 30V15a7 7 0 0 1 7-7v22z" />
    <path class="sill" d="M2 30h28" />
  </svg>
);

export const BigDoor = ({ open }: { readonly open: boolean }) => (
  <svg class="big-door" data-open={open} viewBox="0 0 120 132" width="120" height="132" aria-hidden="true">
    <path class="light" d="M28 128V60a32 32 0 0 1 64 0v68z" />
    <path class="leaf" d={open ? "M28 128V60a32 32 0 0 1 20-29.6V118z" : "M28 128V60a32 32 0 0 1 64 0v68z"} />
    {!open && <circle class="knob" cx="82" cy="88" r="3" />}
    <path class="frame" d="M20 128V60a40 40 0 0 1 80 0v68" />
    <path class="sill" d="M6 128h108" />
  </svg>
);
