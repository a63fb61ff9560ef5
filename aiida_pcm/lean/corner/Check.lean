prelude
import Spec
/-! # Check: a total function that decides about a certificate
Nothing here need be trusted: `Sound` proves that it accepts what is `Valid`, and nothing else. -/
set_option autoImplicit false
noncomputable section

/-- Is a ≤ b? -/
def Signed.ble (a b : Signed) : Bool := (a.pos.add b.neg).ble (b.pos.add a.neg)

/-- The end of a side at which c times the parameter is least. -/
def least (c : Signed) (s : Side) : Signed := (c.neg.ble c.pos).pick s.lo s.hi

/-- The end of a side at which c times the parameter is largest. -/
def most (c : Signed) (s : Side) : Signed := (c.neg.ble c.pos).pick s.hi s.lo

/-- A corner of the box: an end of each side. -/
def corner (choose : Signed → Side → Signed) : List Signed → List Side → List Signed
  | .nil, _ => .nil
  | .cons _ _, .nil => .nil
  | .cons c cs, .cons s ss => .cons (choose c s) (corner choose cs ss)

/-- What the model says at a corner. -/
def atCorner (choose : Signed → Side → Signed) (c : Certificate) : Signed :=
  c.base.add (dot c.coefficients (corner choose c.coefficients c.box))

/-- No side is empty. -/
def sides : List Side → Bool
  | .nil => .true
  | .cons s ss => (s.lo.ble s.hi).and (sides ss)

/-- The checker. -/
def check (c : Certificate) : Bool :=
  ((c.coefficients.length.beq c.box.length).and (sides c.box)).and
    ((c.low.ble (atCorner least c)).and ((atCorner most c).ble c.high))
